//! What a failure of DynamoDB means.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::port::Error;

const SERVICE: &str = "DynamoDB";

/// The codes with which DynamoDB asks to slow down.
/// Source: Amazon DynamoDB developer guide, "Error handling with DynamoDB".
const THROTTLING: [&str; 5] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "LimitExceededException",
    "TransactionInProgressException",
];

/// Translates the failure of one operation. The reply's raw body is dropped: it holds what was stored.
pub(super) fn failed<E, R>(operation: &'static str) -> impl Fn(SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| {
        let code = error.code().map(str::to_owned);
        let too_large = code.as_deref() == Some("ValidationException")
            && error
                .message()
                .is_some_and(|message| message.contains("Item size"));
        let source = error
            .into_source()
            .unwrap_or_else(|error| Box::new(error) as Box<_>);
        match code.as_deref() {
            Some(code) if THROTTLING.contains(&code) => Error::Throttled {
                service: SERVICE,
                source: Some(source),
            },
            _ if too_large => Error::Refused {
                what: format!("what was given to {operation}"),
                source,
            },
            _ => Error::Unavailable {
                service: SERVICE,
                operation,
                source,
            },
        }
    }
}

/// A request that could not even be built.
pub(super) fn not_built(
    operation: &'static str,
) -> impl Fn(aws_sdk_dynamodb::error::BuildError) -> Error {
    move |error| Error::Unavailable {
        service: SERVICE,
        operation,
        source: Box::new(error),
    }
}

/// The service left items out time and again.
pub(super) const fn left_out() -> Error {
    Error::Throttled {
        service: SERVICE,
        source: None,
    }
}
