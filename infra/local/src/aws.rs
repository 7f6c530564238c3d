//! Calls to AWS services as plain signed HTTP. The SDKs for the few calls needed here would cost minutes of compiling.

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Calls any service of the emulator, signed with Signature Version 4.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: String,
    region: String,
    access_key: String,
    secret_key: String,
    session: Option<String>,
}

impl Client {
    /// For an endpoint without a slash at its end.
    #[must_use]
    pub fn new(
        endpoint: impl Into<String>,
        region: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Self {
        Self {
            http: reqwest::Client::new(),
            endpoint: endpoint.into(),
            region: region.to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            session: None,
        }
    }

    /// With the session that temporary keys belong to, such as those of a function's role.
    #[must_use]
    pub fn with_session(mut self, token: &str) -> Self {
        self.session = Some(token.to_owned());
        self
    }

    /// The address of every service.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A variable of the emulator's own environment, which its function processes inherit and those of other emulators do not have.
    pub(crate) fn gateway_port(&self) -> String {
        let port = self.endpoint.rsplit(':').next().unwrap_or_default();
        format!("GATEWAY_PORT={port}")
    }

    /// The region everything is deployed to.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The access key, which the emulator also takes for the account's number.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret key that belongs to it.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// A call in the JSON protocol, such as `("dynamodb", "DynamoDB_20120810.Scan", …)`.
    ///
    /// # Errors
    /// When the service refuses it; the message holds the service's answer.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target),
        ];
        let answer = self
            .send(
                Method::POST,
                service,
                "/",
                &headers,
                body.to_string().into_bytes(),
            )
            .await;
        let answer = answer.with_context(|| format!("{target} failed"))?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .with_context(|| format!("{target} answered something else than JSON"))
    }

    /// A call in the query protocol, as CloudFormation has it; the answer is XML.
    pub(crate) async fn query(&self, service: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self
            .send(Method::POST, service, "/", &headers, body.into_bytes())
            .await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// A call in the REST protocol. The path must consist of letters, digits, `-`, `.`, `_` and `/`.
    pub(crate) async fn rest(
        &self,
        method: Method,
        service: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer> {
        self.send(method, service, path, &[], body).await
    }

    async fn send(
        &self,
        method: Method,
        service: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.endpoint);
        let mut request = self.http.request(method.clone(), &url);
        let session = self
            .session
            .as_deref()
            .map(|token| ("x-amz-security-token", token));
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain(session).collect();
        let signature = self.sign(&method, service, path, &headers, &body);
        for (name, value) in headers
            .into_iter()
            .chain(signature.iter().map(Signed::pair))
        {
            request = request.header(name, value);
        }
        let response = request
            .body(body)
            .send()
            .await
            .with_context(|| format!("cannot reach {url}"))?;
        let status = response.status();
        let function_error = response.headers().get("x-amz-function-error").is_some();
        let body = response.bytes().await?.to_vec();
        if !status.is_success() {
            let words: String = String::from_utf8_lossy(&body).chars().take(2000).collect();
            bail!("{service} answered {status}: {words}");
        }
        Ok(Answer {
            function_error,
            body,
        })
    }

    fn sign(
        &self,
        method: &Method,
        service: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> [Signed; 3] {
        #[expect(
            clippy::disallowed_methods,
            reason = "a signature carries the real time"
        )]
        let now = Timestamp::now();
        let instant = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = now.strftime("%Y%m%d").to_string();
        let digest = hex::encode(Sha256::digest(body));
        let host = self
            .endpoint
            .split_once("://")
            .map_or(self.endpoint.as_str(), |(_, host)| host);

        let mut signed: Vec<(&str, &str)> = headers.to_vec();
        signed.extend([
            ("host", host),
            ("x-amz-content-sha256", digest.as_str()),
            ("x-amz-date", instant.as_str()),
        ]);
        signed.sort_unstable();
        let lines: String = signed
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let request = format!("{method}\n{path}\n\n{lines}\n{names}\n{digest}");

        let scope = format!("{day}/{}/{service}/aws4_request", self.region);
        let text = format!(
            "AWS4-HMAC-SHA256\n{instant}\n{scope}\n{}",
            hex::encode(Sha256::digest(request))
        );
        let key = [day.as_str(), &self.region, service, "aws4_request"]
            .into_iter()
            .fold(
                format!("AWS4{}", self.secret_key).into_bytes(),
                |key, part| authenticate(&key, part.as_bytes()),
            );
        let signature = hex::encode(authenticate(&key, text.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        );
        [
            Signed("authorization", authorization),
            Signed("x-amz-content-sha256", digest),
            Signed("x-amz-date", instant),
        ]
    }
}

/// What a service answered to a call that it carried out.
pub(crate) struct Answer {
    /// The called function failed, while the call itself did not.
    pub(crate) function_error: bool,
    pub(crate) body: Vec<u8>,
}

struct Signed(&'static str, String);

impl Signed {
    fn pair(&self) -> (&str, &str) {
        (self.0, &self.1)
    }
}

fn authenticate(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length, so this cannot fail.
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }
        Err(_) => Vec::new(),
    }
}
