//! Two hosts on one machine: network namespaces with names of their own, connected by a virtual cable.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::launch::{RUN, program, require_same, run, turn};
use crate::missing::{Need, missing};
use crate::support::{Outcome, Place, outcome};

/// Two namespaces, which are removed at the end.
struct Hosts {
    /// Names of the namespaces and of the ends of the cable.
    names: [String; 2],
    /// Path of the script that Open MPI starts instead of ssh.
    agent: String,
}

const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];
const NETWORK: &str = "10.77.0.0/24";
/// Without these, `mpirun` itself waits for a host that it cannot reach.
const KEEPALIVE: &str = "--mca oob_tcp_keepalive_time 1 --mca oob_tcp_keepalive_intvl 1 \
     --mca oob_tcp_keepalive_probes 2";

fn ip(arguments: &str) -> Result<(), String> {
    let output: Output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    let error = String::from_utf8_lossy(&output.stderr).trim().to_string();
    output.status.success().then_some(()).ok_or_else(|| format!("ip {arguments}: {error}"))
}

impl Hosts {
    /// Creates the hosts; none, after [`missing`], where the machine does not allow it.
    fn new(place: &Place, name: &str) -> Option<Self> {
        let id = std::process::id() % 10_000;
        let names = ["a", "b"].map(|side| format!("bs{name}{id}{side}"));
        let agent = place.at("agent.sh");
        let hosts = Self { names, agent };
        match hosts.create(place) {
            Ok(()) => Some(hosts),
            Err(reason) => {
                missing(Need::Namespaces, &reason);
                None
            }
        }
    }

    fn create(&self, place: &Place) -> Result<(), String> {
        let [a, b] = &self.names;
        for name in [a, b] {
            ip(&format!("netns add {name}"))?;
        }
        ip(&format!("link add {a} netns {a} type veth peer name {b} netns {b}"))?;
        for (name, address) in self.names.iter().zip(ADDRESSES) {
            ip(&format!("-n {name} addr add {address}/24 dev {name}"))?;
            ip(&format!("-n {name} link set {name} up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        for name in [a, b] {
            // Otherwise `mpirun`, once it has sent something to a host that it cannot reach, waits for 15 minutes.
            let setting = "echo 3 > /proc/sys/net/ipv4/tcp_retries2";
            let set =
                Command::new("ip").args(["netns", "exec", name, "sh", "-c", setting]).status();
            let is_set = set.is_ok_and(|status| status.success());
            is_set.then_some(()).ok_or_else(|| format!("{setting} in {name} fails"))?;
        }
        // Called with the host and a command line for its shell.
        let script = format!(
            "#!/bin/sh\nshift\nexec ip netns exec {b} unshare -u sh -c \"hostname machine-b; $*\"\n"
        );
        place.write("agent.sh", script);
        fs::set_permissions(&self.agent, fs::Permissions::from_mode(0o755)).unwrap();
        Ok(())
    }

    /// `mpirun` on the first host, with one rank on each.
    fn mpirun(&self, arguments: &str) -> Command {
        let hosts = ADDRESSES.map(|address| format!("{address}:1")).join(",");
        let line = format!(
            "hostname machine-a; exec mpirun --host {hosts} --bind-to none \
             --mca plm_rsh_agent {} --mca btl tcp,self --mca btl_tcp_if_include {NETWORK} \
             {KEEPALIVE} --mca oob_tcp_if_include {NETWORK} {} {arguments}",
            self.agent,
            program(),
        );
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[0], "unshare", "-u", "sh", "-c", &line]);
        command.envs(
            ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"].map(|name| (name, "1")),
        );
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn cut_the_cable(&self) {
        ip(&format!("-n {0} link set {0} down", self.names[0])).unwrap();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            // What still runs there has lost its terminal: end it, so that the namespace can go.
            let found = Command::new("ip").args(["netns", "pids", name]).output();
            let ids = found.map(|found| String::from_utf8_lossy(&found.stdout).into_owned());
            for id in ids.unwrap_or_default().split_whitespace() {
                let _ = Command::new("kill").args(["-KILL", id]).status();
            }
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

#[test]
fn two_hosts_leave_the_bytes_of_one() {
    let _turn = turn();
    let place = Place::new();
    let Some(hosts) = Hosts::new(&place, "same") else { return };
    run(2, &place.train_arguments("one", RUN)).ok();
    let found = hosts.mpirun(&place.train_arguments("two", &format!("{RUN} --zero 2"))).output();
    outcome(found.unwrap()).ok();
    require_same(&place, "one", "two");
}

#[test]
fn a_cut_cable_ends_the_run_with_a_name() {
    let _turn = turn();
    let place = Place::new();
    let Some(hosts) = Hosts::new(&place, "cut") else { return };
    let endless =
        "--steps 1000000 --eval-every 0 --save-every 0 --grad-accum 2 --collective-timeout 5";
    let mut job = hosts.mpirun(&place.train_arguments("run", endless)).spawn().unwrap();
    let metrics = place.path("run/metrics.jsonl");
    let started = Instant::now();
    while fs::metadata(&metrics).map_or(0, |file| file.len()) == 0 {
        assert!(started.elapsed() < Duration::from_secs(120), "it does not train");
        std::thread::sleep(Duration::from_millis(20));
    }
    hosts.cut_the_cable();
    let cut = Instant::now();
    while job.try_wait().unwrap().is_none() && cut.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = job.try_wait().unwrap();
    let _ = job.kill();
    drop(hosts);
    let found: Outcome = outcome(job.wait_with_output().unwrap());
    // Whoever notices first: a rank or `mpirun`.
    let names = ["no answer from rank", "Remote daemon:"];
    assert!(names.iter().any(|name| found.stderr.contains(name)), "{}", found.stderr);
    assert!(ended.is_some_and(|status| !status.success()), "mpirun still runs: {}", found.stderr);
}
