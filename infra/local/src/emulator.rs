//! The AWS emulator as a child process: MiniStack, pinned, on a free port of the loopback interface.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::aws::Client;
use crate::place::{project_directory, target_directory};
use crate::python;

/// The account everything is deployed into. Calls without a signature, as browsers make them, reach the emulator's default
/// account, so there is only this one; stacks are told apart by name.
const ACCOUNT: &str = "123456789012";
const SECRET_KEY: &str = "test";
const REGION: &str = "us-east-1";
const READY_WITHIN: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 3;

const SERVICES: &str = "apigateway,cloudformation,dynamodb,events,iam,lambda,logs,monitoring,s3,secretsmanager,sns,sqs,sts,scheduler";

/// Starts the server, and ends the whole group, functions included, as soon as the starter's end of standard input closes: so also when
/// the starter was killed and could not clean up.
const SUPERVISOR: &str = r#"
exec 3<&0
"$0" 3<&- &
server=$!
{ cat > /dev/null; kill -KILL 0; } <&3 &
exec 3<&-
wait "$server"
"#;

/// What may differ from one emulator to the next.
#[derive(Clone, Debug)]
pub struct EmulatorOptions {
    /// Check every call against the policies of the role that makes it, as AWS does.
    pub enforce_permissions: bool,
    /// What the emulator writes into its log: `INFO`, `DEBUG`, `WARNING`.
    pub log_level: String,
    /// More variables for the emulator and so for every function process.
    pub environment: Vec<(String, String)>,
}

impl Default for EmulatorOptions {
    fn default() -> Self {
        Self {
            enforce_permissions: true,
            log_level: "INFO".to_owned(),
            environment: Vec::new(),
        }
    }
}

/// A running emulator. It ends, with every function process, when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    child: Child,
    port: u16,
    folder: PathBuf,
    /// Held as long as the emulator runs, so that no other test process takes its port for its own.
    _port: File,
}

impl Emulator {
    /// Installs the emulator if need be, starts it and waits until it answers.
    ///
    /// # Errors
    /// When Python 3.10 with venv is missing, the installation fails, or the server does not come up; the message says which.
    pub async fn start(options: EmulatorOptions) -> Result<Self> {
        let environment = tokio::task::spawn_blocking(|| {
            python::prepare(
                &target_directory().join("emulator"),
                &project_directory().join("infra/requirements/emulator.txt"),
            )
        })
        .await??;
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            // Between finding a free port and listening on it somebody else may take it.
            match Self::launch(&environment, &options).await {
                Ok(emulator) => return Ok(emulator),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("the emulator was not started")))
    }

    async fn launch(environment: &Path, options: &EmulatorOptions) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let runs = target_directory().join("emulator-runs");
        fs::create_dir_all(&runs)?;
        let lock = File::create(runs.join(format!("{port}.lock")))?;
        lock.try_lock()
            .with_context(|| format!("port {port} belongs to another emulator"))?;
        let folder = runs.join(port.to_string());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("tmp"))?;
        let log = File::create(folder.join("emulator.log"))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SUPERVISOR])
            .arg(environment.join("bin/ministack"))
            .current_dir(&folder)
            // Function processes inherit the emulator's environment: nothing of this machine's settings may reach them.
            .env_clear()
            .envs(
                ["PATH", "HOME", "LANG"]
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("TMPDIR", folder.join("tmp"))
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_ACCOUNT_ID", ACCOUNT)
            .env("MINISTACK_REGION", REGION)
            // Without these three the functions would try the real AWS.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            // It would listen on all interfaces.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SERVICES", SERVICES)
            .env("LOG_LEVEL", &options.log_level)
            .env(
                "AUTH",
                if options.enforce_permissions {
                    "true"
                } else {
                    "false"
                },
            )
            .envs(
                options
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = command.spawn().context("cannot start the emulator")?;
        let mut emulator = Self {
            child,
            port,
            folder,
            _port: lock,
        };
        emulator.wait_until_ready().await?;
        Ok(emulator)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let health = format!("{}/_ministack/health", self.endpoint());
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the emulator ended at once ({status}): {}",
                    self.last_words()
                );
            }
            if reqwest::get(&health)
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the emulator did not come up: {}", self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// The address of every AWS service.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the emulator and the functions wrote.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("emulator.log")
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.endpoint(), REGION, ACCOUNT, SECRET_KEY)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id())
            && let Some(group) = Pid::from_raw(group)
        {
            // Nothing is left to do about a failure here: the group is gone, or the closing pipe ends it.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.folder.join("tmp"));
    }
}
