//! The functions' processes on this machine, by what `/proc` tells of them: Linux only.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The variable in which Lambda tells a process which function it is.
pub(crate) const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

const DEAD_WITHIN: Duration = Duration::from_secs(10);

/// The processes that have all of these variables, each as `NAME=value`.
///
/// # Errors
/// When there is no `/proc`.
pub(crate) fn with_environment(wanted: &[String]) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("function processes can be found on Linux only")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let environment = environment(pid);
        if wanted.iter().all(|wanted| environment.contains(wanted)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// A variable of a process; none when it has none or is gone.
pub(crate) fn variable(pid: i32, name: &str) -> Option<String> {
    let wanted = format!("{name}=");
    environment(pid)
        .into_iter()
        .find_map(|variable| variable.strip_prefix(&wanted).map(str::to_owned))
}

/// A process's variables. Processes come and go, and those of other users can't be read: these have none.
fn environment(pid: i32) -> Vec<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .map(|variable| String::from_utf8_lossy(variable).into_owned())
        .collect()
}

/// Which of these processes calls from a port of the loopback interface.
pub(crate) fn caller(processes: &[i32], port: u16) -> Option<i32> {
    let connections = fs::read_to_string("/proc/net/tcp").ok()?;
    // After the number: local address, remote address, state, queues, timer, retransmits, user, timeout, inode.
    let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let inode = connections.lines().find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let found = columns.next()? == local;
        let inode = columns.nth(7)?;
        (found && inode != "0").then(|| format!("socket:[{inode}]"))
    })?;
    processes.iter().copied().find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        files
            .into_iter()
            .flatten()
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == inode.as_str()))
    })
}

/// Kills processes as a crash of the machine would, and returns how many there were once they are gone.
///
/// # Errors
/// When one does not die.
pub(crate) async fn kill(mut processes: Vec<i32>) -> Result<usize> {
    processes.retain(|pid| {
        Pid::from_raw(*pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
    });
    let deadline = Instant::now() + DEAD_WITHIN;
    // A process that is about to die would still be given the next event.
    while processes.iter().any(|pid| is_alive(*pid)) {
        if Instant::now() > deadline {
            bail!("a process outlives its killing: {processes:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(processes.len())
}

/// Whether a process still has to end. One that ended and waits for its parent to notice is a zombie.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in brackets and may hold anything.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_caller_is_found_by_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let call = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = call.local_addr().unwrap().port();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(caller(&[1, own], port), Some(own));
        assert_eq!(caller(&[], port), None);
    }
}
