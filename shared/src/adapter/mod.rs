//! The adapters: what stands behind the ports in production, one folder or file per outside service.

pub mod dynamodb;
pub mod secrets;
pub mod sqs;
pub mod system;
pub mod zoho;
