//! What `sam deploy` does to a template and its functions before it hands them to CloudFormation.

use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::functions::FUNCTIONS;

/// Where the template expects the functions; nothing else about it is touched.
fn local_code(function: &str) -> String {
    format!("CodeUri: ../target/lambda/{function}/")
}

/// Points every function of the template at its uploaded package.
pub(crate) fn relocate(template: &str, location: impl Fn(&str) -> String) -> Result<String> {
    let mut relocated = template.to_owned();
    for function in FUNCTIONS {
        let local = local_code(function);
        if relocated.matches(&local).count() != 1 {
            bail!("the template does not name {local} exactly once");
        }
        relocated = relocated.replace(&local, &format!("CodeUri: {}", location(function)));
    }
    Ok(relocated)
}

/// A deployment package for one function: a `bootstrap` that becomes the binary where cargo left it. Ten binaries with debug
/// information would otherwise be packed, uploaded, kept in memory and unpacked for nothing.
pub(crate) fn package(binary: &Path) -> Result<Vec<u8>> {
    let metadata = fs::metadata(binary)
        .with_context(|| format!("there is no function at {}", binary.display()))?;
    if metadata.permissions().mode() & 0o111 == 0 {
        bail!("{} is not executable", binary.display());
    }
    let path = binary.canonicalize()?;
    let path = path
        .to_str()
        .context("the path of a function must be text")?
        .replace('\'', r"'\''");
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(
        "bootstrap",
        SimpleFileOptions::default().unix_permissions(0o755),
    )?;
    archive.write_all(format!("#!/bin/sh\nexec '{path}'\n").as_bytes())?;
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_forgets_a_function_is_refused() {
        let template: String = FUNCTIONS
            .iter()
            .skip(1)
            .map(|function| local_code(function) + "\n")
            .collect();
        assert!(relocate(&template, str::to_owned).is_err());
    }

    #[test]
    fn only_the_code_is_relocated() {
        let template: String = FUNCTIONS
            .iter()
            .map(|function| format!("# kept\n{}\n", local_code(function)))
            .collect();
        let relocated =
            relocate(&template, |function| format!("s3://bucket/{function}.zip")).unwrap();
        assert_eq!(relocated.matches("# kept").count(), FUNCTIONS.len());
        assert!(relocated.contains("CodeUri: s3://bucket/worker-accounts.zip\n"));
        assert!(!relocated.contains("target/lambda"));
    }
}
