//! Uploading a template with its functions, and having it carried out.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http::Method;

use crate::aws::{Answer, Client};
use crate::functions::FUNCTIONS;
use crate::package::{package, relocate};
use crate::stack::DeployOptions;

const BUCKET: &str = "deployments";
const DEPLOYED_WITHIN: Duration = Duration::from_secs(60);
const VERSION: &str = "2010-05-15";

/// Returns where CloudFormation finds the template.
pub(crate) async fn upload(client: &Client, options: &DeployOptions) -> Result<String> {
    let name = &options.name;
    let template = fs::read_to_string(&options.template)
        .with_context(|| format!("cannot read {}", options.template.display()))?;
    client
        .rest(Method::PUT, "s3", &format!("/{BUCKET}"), Vec::new())
        .await
        .or_else(already_there)?;
    for function in FUNCTIONS {
        let archive = package(&options.function_binaries.join(function))?;
        client
            .rest(
                Method::PUT,
                "s3",
                &format!("/{BUCKET}/{name}/{function}.zip"),
                archive,
            )
            .await?;
    }
    let template = relocate(&template, |function| {
        format!("s3://{BUCKET}/{name}/{function}.zip")
    })?;
    let path = format!("/{BUCKET}/{name}/template.yaml");
    client
        .rest(Method::PUT, "s3", &path, template.into_bytes())
        .await?;
    Ok(format!("{}{path}", client.endpoint()))
}

fn already_there(error: anyhow::Error) -> Result<Answer> {
    if format!("{error:#}").contains("BucketAlreadyOwnedByYou") {
        return Ok(Answer {
            function_error: false,
            body: Vec::new(),
        });
    }
    Err(error)
}

/// Creates or updates the stack, waits, and returns its outputs.
pub(crate) async fn provision(
    client: &Client,
    options: &DeployOptions,
    template: &str,
) -> Result<BTreeMap<String, String>> {
    let name = ("StackName", options.name.as_str());
    let describe = [("Action", "DescribeStacks"), ("Version", VERSION), name];
    let exists = client.query("cloudformation", &describe).await.is_ok();
    let action = if exists { "UpdateStack" } else { "CreateStack" };
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    };
    let parameters = [
        ("Architecture", architecture),
        ("PublicUrl", &options.public_url),
        ("ZohoDirectory", &options.zoho_directory),
        ("LogLevel", &options.log_level),
    ];
    let mut form = vec![
        ("Action".to_owned(), action),
        ("Version".to_owned(), VERSION),
        ("TemplateURL".to_owned(), template),
    ];
    form.push(("StackName".to_owned(), &options.name));
    for (number, capability) in (1..).zip(["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]) {
        form.push((format!("Capabilities.member.{number}"), capability));
    }
    for (number, (key, value)) in (1..).zip(parameters) {
        form.push((format!("Parameters.member.{number}.ParameterKey"), key));
        form.push((format!("Parameters.member.{number}.ParameterValue"), value));
    }
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    client
        .query("cloudformation", &form)
        .await
        .context("the template was refused")?;

    let deadline = Instant::now() + DEPLOYED_WITHIN;
    loop {
        let answer = client.query("cloudformation", &describe).await?;
        let status = elements(&answer, "StackStatus").pop().unwrap_or_default();
        match status.as_str() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" => {
                return Ok(elements(&answer, "OutputKey")
                    .into_iter()
                    .zip(elements(&answer, "OutputValue"))
                    .collect());
            }
            status if status.ends_with("IN_PROGRESS") && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            status => bail!(
                "the stack ended in {status}: {}",
                reasons(client, name).await?
            ),
        }
    }
}

/// The names of the stack's EventBridge rules.
pub(crate) async fn rules(client: &Client, name: &str) -> Result<Vec<String>> {
    let parameters = [
        ("Action", "DescribeStackResources"),
        ("Version", VERSION),
        ("StackName", name),
    ];
    let answer = client.query("cloudformation", &parameters).await?;
    let types = elements(&answer, "ResourceType");
    let names = elements(&answer, "PhysicalResourceId");
    let rules = types
        .into_iter()
        .zip(names)
        .filter(|(kind, _)| kind == "AWS::Events::Rule");
    Ok(rules.map(|(_, name)| name).collect())
}

async fn reasons(client: &Client, name: (&str, &str)) -> Result<String> {
    let parameters = [
        ("Action", "DescribeStackEvents"),
        ("Version", VERSION),
        name,
    ];
    let events = client.query("cloudformation", &parameters).await?;
    let failures = events
        .split("</member>")
        .filter(|event| event.contains("_FAILED</ResourceStatus>"));
    let failures = failures.map(|event| {
        let resource = elements(event, "LogicalResourceId")
            .pop()
            .unwrap_or_default();
        format!(
            "{resource}: {}",
            elements(event, "ResourceStatusReason")
                .pop()
                .unwrap_or_default()
        )
    });
    Ok(failures.collect::<Vec<_>>().join("; "))
}

/// The text of every element of that name. CloudFormation's answers are flat enough for it.
fn elements(document: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let texts = document
        .split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close));
    texts.map(|(text, _)| unescape(text)).collect()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_order_and_unescaped() {
        let document = "<a><K>one</K><V>x&amp;y</V></a><a><K>two</K><V>&lt;z&gt;</V></a>";
        assert_eq!(elements(document, "K"), ["one", "two"]);
        assert_eq!(elements(document, "V"), ["x&y", "<z>"]);
    }
}
