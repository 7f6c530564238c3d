//! Tidiness: the directions between the layers, and what a source file looks like. `shared/README.md` says why.
//!
//! Words are looked for in lines that are no comments. A finding names its file and line.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What may be named although a rule forbids it: the file, the words, and why.
const EXCEPTIONS: [(&str, &str, &str); 3] = [
    (
        "shared/src/outgoing.rs",
        "crate::port::WriteRefusal",
        "plain data: what Zoho refuses is explained in plain words by a pure function",
    ),
    (
        "shared/src/edge/telemetry.rs",
        "\"aws_",
        "names of log targets, not of types",
    ),
    (
        "shared/src/edge/telemetry.rs",
        "\"reqwest\"",
        "the name of a log target, not of a type",
    ),
];

/// The most lines of a source file.
const LONGEST_FILE: usize = 600;

/// The most lines of a function's `main.rs`.
const LONGEST_MAIN: usize = 45;

/// What pure code must not name: other layers, waiting, the clock, randomness, telemetry, I/O.
const IMPURE: [&str; 16] = [
    "crate::port",
    "crate::flow",
    "crate::adapter",
    "crate::edge",
    "async fn",
    ".await",
    "tokio",
    "tracing",
    "reqwest",
    "aws_",
    "lambda_",
    "std::fs",
    "std::env",
    "SystemTime",
    "Timestamp::now",
    "rand",
];

struct Source {
    /// From the project's folder, with forward slashes.
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// A module of the pure layer: every file at the top of the crate's sources.
    fn is_pure(&self) -> bool {
        self.path
            .strip_prefix("shared/src/")
            .is_some_and(|rest| !rest.contains('/'))
    }

    fn is_main(&self) -> bool {
        self.path.ends_with("/src/main.rs")
    }

    /// Lines with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim_start()))
            .filter(|(_, line)| !line.starts_with("//"))
    }
}

#[test]
fn pure_code_names_no_other_layer_and_nothing_of_the_outside() {
    forbid(&IMPURE, "pure code", Source::is_pure);
}

#[test]
fn lower_layers_do_not_name_higher_ones() {
    forbid(
        &[
            "crate::flow",
            "crate::adapter",
            "crate::edge",
            "super::super::flow",
            "super::super::adapter",
        ],
        "a port",
        |file| file.is_in("shared/src/port/"),
    );
    forbid(
        &[
            "crate::adapter",
            "crate::edge",
            "aws_",
            "reqwest",
            "lambda_",
        ],
        "a flow",
        |file| file.is_in("shared/src/flow/"),
    );
    forbid(&["crate::flow", "crate::edge"], "an adapter", |file| {
        file.is_in("shared/src/adapter/")
    });
}

#[test]
fn flows_do_not_sleep_nor_look_at_the_clock_themselves() {
    forbid(
        &["sleep(", "Timestamp::now", "SystemTime", "rand::", "spawn("],
        "a flow or a port",
        |file| file.is_in("shared/src/flow/") || file.is_in("shared/src/port/"),
    );
}

#[test]
fn what_belongs_to_one_place_stays_there() {
    forbid(
        &["aws_sdk", "aws_config"],
        "code outside of the adapters and edge/clients.rs",
        |file| !file.is_in("shared/src/adapter/") && file.path != "shared/src/edge/clients.rs",
    );
    forbid(&["reqwest"], "code outside of the Zoho adapter", |file| {
        !file.is_in("shared/src/adapter/zoho/")
    });
    forbid(
        &["aws_lambda_events", "lambda_runtime", "lambda_http"],
        "shared code outside of the edge",
        |file| file.is_in("shared/src/") && !file.is_in("shared/src/edge/"),
    );
    forbid(
        &["std::env", "env::var"],
        "code outside of edge/environment.rs",
        |file| file.path != "shared/src/edge/environment.rs",
    );
}

#[test]
fn there_is_no_scan() {
    forbid(&[".scan()", "Scan::", "ScanInput"], "code", |_| true);
}

#[test]
fn a_functions_main_is_wiring() {
    forbid(
        &["match ", "if ", ".expect(", ".unwrap(", "panic!"],
        "a main.rs",
        Source::is_main,
    );
    let long = sources()
        .into_iter()
        .filter(Source::is_main)
        .filter_map(|file| {
            let lines = file.text.lines().count();
            (lines > LONGEST_MAIN).then(|| {
                format!(
                    "{}:{lines}: a main.rs has at most {LONGEST_MAIN} lines",
                    file.path
                )
            })
        });
    report(long.collect());
}

#[test]
fn every_function_has_its_readme_main_and_library() {
    let mut missing = Vec::new();
    for function in fs::read_dir(project().join("functions")).unwrap() {
        let function = function.unwrap().path();
        if !function.join("Cargo.toml").is_file() {
            continue;
        }
        for wanted in ["README.md", "src/lib.rs", "src/main.rs"] {
            if !function.join(wanted).is_file() {
                missing.push(format!(
                    "{}:1: it is missing",
                    relative(&function.join(wanted))
                ));
            }
        }
    }
    report(missing);
}

#[test]
fn every_file_says_first_what_it_is_for_and_has_one_reason_to_exist() {
    let mut found = Vec::new();
    for file in sources() {
        if !file.text.starts_with("//!") {
            found.push(format!("{}:1: the first line begins with //!", file.path));
        }
        let lines = file.text.lines().count();
        if lines > LONGEST_FILE {
            found.push(format!(
                "{}:{lines}: a file has at most {LONGEST_FILE} lines",
                file.path
            ));
        }
    }
    report(found);
}

#[test]
fn every_exception_is_still_needed() {
    let sources = sources();
    let idle = EXCEPTIONS.iter().filter(|(path, words, _)| {
        let file = sources.iter().find(|file| file.path == *path);
        !file.is_some_and(|file| file.code().any(|(_, line)| line.contains(words)))
    });
    report(
        idle.map(|(path, words, _)| {
            format!("{path}:1: it names {words} no more: drop the exception")
        })
        .collect(),
    );
}

/// Fails when a file that a rule is about names something forbidden.
fn forbid(words: &[&str], who: &str, about: impl Fn(&Source) -> bool) {
    let files: Vec<Source> = sources().into_iter().filter(|file| about(file)).collect();
    assert!(
        !files.is_empty(),
        "no file is {who}: the rule looks at nothing"
    );
    let mut found = Vec::new();
    for file in &files {
        for (number, line) in file.code() {
            let excepted = EXCEPTIONS
                .iter()
                .any(|(path, allowed, _)| file.path == *path && line.contains(allowed));
            let named = words.iter().find(|word| !excepted && names(line, word));
            found.extend(named.map(|word| format!("{}:{number}: {who} names {word}", file.path)));
        }
    }
    report(found);
}

/// Whether a line holds a word that does not begin, nor (where it is a plain word) end, within a longer one.
fn names(line: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let open = word.ends_with('_') || !word.ends_with(part);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let begins = !word.starts_with(part) || !before.is_some_and(part);
        // `aws_sdk` also stands for `aws_sdk_sqs`.
        let ends = open || !after.is_some_and(|letter| part(letter) && letter != '_');
        begins && ends
    })
}

fn report(found: Vec<String>) {
    let mut text = String::new();
    for line in &found {
        writeln!(text, "{line}").unwrap();
    }
    assert!(found.is_empty(), "{} untidy:\n{text}", found.len());
}

/// The sources of the common crate and of the functions, without their tests.
fn sources() -> Vec<Source> {
    let mut roots = vec![project().join("shared/src")];
    for function in fs::read_dir(project().join("functions")).unwrap() {
        roots.push(function.unwrap().path().join("src"));
    }
    let mut found = Vec::new();
    for root in roots.iter().filter(|root| root.is_dir()) {
        collect(root, &mut found);
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(Source {
                path: relative(&path),
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(project()).unwrap();
    path.to_string_lossy().replace('\\', "/")
}
