//! Working with a deployed stack, and looking inside it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::{Map, Value, json};

use crate::processes;
use crate::stack::{Queue, Stack};

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be taken, now or after a delay.
    pub waiting: usize,
    /// Taken and not finished: being worked on, or left behind by a function that died or gave them back.
    pub in_flight: usize,
}

impl Depth {
    /// Nothing waits and nothing is worked on.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.waiting + self.in_flight == 0
    }
}

impl Stack {
    /// Invokes a function and returns its answer.
    ///
    /// # Errors
    /// When the function fails; the message holds its error.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Value> {
        let path = format!(
            "/2015-03-31/functions/{}/invocations",
            self.function(function)?
        );
        let answer = self
            .client
            .rest(
                Method::POST,
                "lambda",
                &path,
                payload.to_string().into_bytes(),
            )
            .await?;
        if answer.function_error {
            bail!(
                "{function} failed: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Puts a message onto a queue, with the connection as its group.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn send(&self, queue: &str, connection: &str, body: &str) -> Result<()> {
        let body = json!({ "QueueUrl": self.queue(queue)?.url, "MessageBody": body, "MessageGroupId": connection });
        self.client
            .json("sqs", "AmazonSQS.SendMessage", &body)
            .await?;
        Ok(())
    }

    /// What a function wrote, oldest first, with Lambda's own lines. An invocation's lines arrive when it ends.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn logs(&self, function: &str) -> Result<Vec<String>> {
        let group = format!("/aws/lambda/{}", self.function(function)?);
        let mut lines = Vec::new();
        let mut page = json!({ "logGroupName": group });
        loop {
            let answer = self
                .client
                .json("logs", "Logs_20140328.FilterLogEvents", &page)
                .await?;
            let events = answer["events"].as_array().cloned().unwrap_or_default();
            for event in &events {
                lines.push(
                    event["message"]
                        .as_str()
                        .unwrap_or_default()
                        .trim_end()
                        .to_owned(),
                );
            }
            match answer.get("nextToken") {
                // The emulator names a next page behind the last one, too.
                Some(token) if !token.is_null() && !events.is_empty() => {
                    page["nextToken"] = token.clone();
                }
                _ => return Ok(lines),
            }
        }
    }

    /// The processes in which a function runs at the moment, busy or warm. Reads `/proc`, so Linux only.
    ///
    /// # Errors
    /// When there is no such function or no `/proc`.
    pub fn function_pids(&self, function: &str) -> Result<Vec<i32>> {
        processes::with_environment(&[
            format!("{}={}", processes::FUNCTION_NAME, self.function(function)?),
            self.client.gateway_port(),
        ])
    }

    /// Kills a function's processes as a crash of the machine would, and returns how many there were once they are gone.
    ///
    /// A message that one of them held comes back when its visibility ends, see `DeployOptions::retry_after`.
    ///
    /// # Errors
    /// When there is no such function or no `/proc`, or a process does not die.
    pub async fn kill_function(&self, function: &str) -> Result<usize> {
        processes::kill(self.function_pids(function)?)
            .await
            .with_context(|| format!("killing {function}"))
    }

    /// Everything in a table, as plain JSON: for tests and the demo's own view.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn table_items(&self, table: &str) -> Result<Vec<Map<String, Value>>> {
        let mut items = Vec::new();
        let mut page = json!({ "TableName": table, "ConsistentRead": true });
        loop {
            let answer = self
                .client
                .json("dynamodb", "DynamoDB_20120810.Scan", &page)
                .await?;
            let found = answer["Items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_object);
            items.extend(found.map(|item| {
                item.iter()
                    .map(|(name, value)| (name.clone(), plain(value)))
                    .collect()
            }));
            match answer.get("LastEvaluatedKey") {
                Some(key) if !key.is_null() => page["ExclusiveStartKey"] = key.clone(),
                _ => return Ok(items),
            }
        }
    }

    /// What a queue holds.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn queue_depth(&self, queue: &str) -> Result<Depth> {
        let url = &self.queue(queue)?.url;
        Ok(self.depths().await?.get(url).copied().unwrap_or_default())
    }

    /// How many messages have failed too often.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn dead_letters(&self, queue: &str) -> Result<usize> {
        let url = &self.queue(queue)?.dead_letters_url;
        let depth = self.depths().await?.get(url).copied().unwrap_or_default();
        Ok(depth.waiting + depth.in_flight)
    }

    /// Whether no queue holds a message, not even a dead letter. One look at all at once: a letter that is being sent again is always in one.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn is_empty(&self) -> Result<bool> {
        let depths = self.depths().await?;
        let mut urls = self
            .queues()
            .values()
            .flat_map(|queue| [&queue.url, &queue.dead_letters_url]);
        Ok(urls.all(|url| depths.get(url).is_none_or(|depth| depth.is_empty())))
    }

    /// Whether any queue holds a message with this text, be it worked on or a dead letter. One look at all at once, as [`Stack::is_empty`].
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn holds(&self, text: &str) -> Result<bool> {
        let messages = self.all_messages().await?;
        let mut bodies = self
            .queues()
            .values()
            .flat_map(|queue| [&queue.url, &queue.dead_letters_url])
            .filter_map(|url| messages.get(url)?.as_array())
            .flatten()
            .filter_map(|message| message["Body"].as_str());
        Ok(bodies.any(|body| body.contains(text)))
    }

    /// Waits until no queue holds a message, dead letters aside.
    ///
    /// # Errors
    /// When that has not happened within the budget; the message says what is left where.
    pub async fn wait_until_idle(&self, budget: Duration) -> Result<()> {
        let deadline = Instant::now() + budget;
        loop {
            // One look at all queues at once: a message that moves from one to the next is always in one of them.
            let depths = self.depths().await?;
            let busy = self
                .queues()
                .iter()
                .filter_map(|(name, queue)| Some((name, *depths.get(&queue.url)?)));
            let busy: Vec<_> = busy.filter(|(_, depth)| !depth.is_empty()).collect();
            if busy.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not idle after {budget:?}: {busy:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The bodies of all messages, those that are being worked on included, each with its queue; dead letters aside.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn all_bodies(&self) -> Result<Vec<(String, String)>> {
        let messages = self.all_messages().await?;
        let mut bodies = Vec::new();
        for (name, queue) in self.queues() {
            let of_queue = messages.get(&queue.url).and_then(Value::as_array);
            let of_queue = of_queue.into_iter().flatten();
            let of_queue = of_queue.filter_map(|message| message["Body"].as_str());
            bodies.extend(of_queue.map(|body| (name.clone(), body.to_owned())));
        }
        Ok(bodies)
    }

    /// The bodies of a queue's dead letters.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn dead_messages(&self, queue: &str) -> Result<Vec<String>> {
        self.bodies(&self.queue(queue)?.dead_letters_url).await
    }

    async fn bodies(&self, url: &str) -> Result<Vec<String>> {
        let queues = self.all_messages().await?;
        let messages = queues.get(url).and_then(Value::as_array);
        let bodies = messages.into_iter().flatten();
        Ok(bodies
            .filter_map(|message| message["Body"].as_str().map(str::to_owned))
            .collect())
    }

    /// Puts every dead letter back onto its queue and returns how many there were.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn redrive(&self, queue: &str) -> Result<usize> {
        let Queue {
            url,
            dead_letters_url,
        } = self.queue(queue)?;
        let mut moved = 0;
        loop {
            let take = json!({ "QueueUrl": dead_letters_url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"] });
            let answer = self
                .client
                .json("sqs", "AmazonSQS.ReceiveMessage", &take)
                .await?;
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(moved);
            }
            for message in messages {
                let mut put = json!({ "QueueUrl": url, "MessageBody": message["Body"] });
                if let Some(group) = message.pointer("/Attributes/MessageGroupId") {
                    put["MessageGroupId"] = group.clone();
                }
                self.client
                    .json("sqs", "AmazonSQS.SendMessage", &put)
                    .await?;
                let done = json!({ "QueueUrl": dead_letters_url, "ReceiptHandle": message["ReceiptHandle"] });
                self.client
                    .json("sqs", "AmazonSQS.DeleteMessage", &done)
                    .await?;
                moved += 1;
            }
        }
    }

    /// How full all queues of the emulator are, in one look, by their URLs.
    async fn depths(&self) -> Result<BTreeMap<String, Depth>> {
        let queues = self.all_messages().await?.into_iter();
        Ok(queues
            .map(|(url, messages)| (url, depth(&messages)))
            .collect())
    }

    /// All messages of all queues of the emulator in one look, by the queues' URLs.
    async fn all_messages(&self) -> Result<Map<String, Value>> {
        let path = "/_ministack/sqs/messages";
        let answer = self
            .client
            .rest(Method::GET, "sqs", path, Vec::new())
            .await?;
        let mut answer: Value = serde_json::from_slice(&answer.body)?;
        let place = format!(
            "/messages/{}/{}",
            self.client.access_key(),
            self.client.region()
        );
        match answer.pointer_mut(&place).map(Value::take) {
            Some(Value::Object(queues)) => Ok(queues),
            _ => Ok(Map::new()),
        }
    }
}

fn depth(messages: &Value) -> Depth {
    let messages = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    // A delayed message is invisible too, but nobody has received it yet.
    let taken = |message: &&Value| {
        message["IsVisible"] == false && message["ReceiveCount"].as_u64() > Some(0)
    };
    let in_flight = messages.iter().filter(taken).count();
    Depth {
        waiting: messages.len() - in_flight,
        in_flight,
    }
}

/// DynamoDB's `{"S": "text"}` as `"text"`. Numbers beyond 64 bits stay text.
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|tagged| tagged.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), inner) {
        ("N", Value::String(number)) => {
            serde_json::from_str(number).unwrap_or_else(|_| inner.clone())
        }
        ("NULL", _) => Value::Null,
        ("L", Value::Array(items)) => items.iter().map(plain).collect(),
        ("M", Value::Object(fields)) => fields
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        _ => inner.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_plain() {
        let item = json!({ "M": {
            "text": { "S": "a" }, "number": { "N": "12" }, "nothing": { "NULL": true }, "list": { "L": [{ "BOOL": true }] },
        } });
        assert_eq!(
            plain(&item),
            json!({ "text": "a", "number": 12, "nothing": null, "list": [true] })
        );
    }

    #[test]
    fn a_delayed_message_waits_and_a_taken_one_is_in_flight() {
        let messages = json!([
            { "IsVisible": false, "ReceiveCount": 0 },
            { "IsVisible": false, "ReceiveCount": 1 },
            { "IsVisible": true, "ReceiveCount": 2 },
        ]);
        assert_eq!(
            depth(&messages),
            Depth {
                waiting: 2,
                in_flight: 1
            }
        );
    }
}
