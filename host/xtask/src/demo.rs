//! `cargo xtask demo`. Invariant: everything that the demo keeps is in one folder, it survives a restart, and it all ends with
//! the demo: no process and no port is left behind.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use clap::Args;
use serde_json::Value;

use crate::run::{root, target_dir};
use crate::{Error, plugins};

/// Where the demo runs.
#[derive(Args)]
pub struct Arguments {
    /// Folder of everything that the demo keeps.
    #[arg(long, default_value = ".demo")]
    data: PathBuf,
    /// First of four ports on 127.0.0.1: shop, payhost, the gateway's pages, the gateway's API.
    #[arg(long, default_value_t = 4100)]
    port: u16,
}

/// Runs it until Ctrl-C.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let component = plugins::build()?.component("inicis");
    crate::run::binaries()?;
    let data = root().join(&arguments.data);
    let earlier = data.exists();
    std::fs::create_dir_all(&data)
        .map_err(|cause| Error::File { path: data.display().to_string(), cause })?;
    let demo = Demo { data, port: arguments.port };
    let mut running = Running::default();
    let outcome = demo.start(&mut running, &component);
    if outcome.is_err() && earlier {
        let folder = arguments.data.display();
        eprintln!(
            "xtask: {folder} holds an earlier demo; if an older version made it, remove it and begin anew"
        );
    }
    if outcome.is_ok() {
        println!();
        println!("  The shop is open: {}", demo.origin(0));
        println!();
        println!("  payhost           {}", demo.origin(1));
        println!("  the gateway       {}/_sim/   (a simulator: no real card, no real money)", demo.origin(2));
        println!(
            "  its bank          {}/_sim/bank   (for an order by virtual account: pay in here)",
            demo.origin(2)
        );
        println!("  everything is in  {}", arguments.data.display());
        let program = target_dir().join("debug").join("payhost");
        let program = program.strip_prefix(root()).unwrap_or(&program).display();
        println!("  by command        {program} --data {}/payhost shop list", arguments.data.display());
        println!("  Ctrl-C ends it all.");
        wait(&mut running)?;
    }
    running.stop();
    outcome
}

struct Demo {
    data: PathBuf,
    port: u16,
}

impl Demo {
    fn address(&self, offset: u16) -> String {
        format!("127.0.0.1:{}", self.port.saturating_add(offset))
    }

    fn origin(&self, offset: u16) -> String {
        format!("http://{}", self.address(offset))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    fn start(&self, running: &mut Running, component: &Path) -> Result<(), Error> {
        let gateway = running.start(
            binary("inicis-sim")
                .arg("--data")
                .arg(self.folder("gateway"))
                .args(["--browser", &self.address(2)])
                .args(["--gateway", &self.address(3)]),
        )?;
        running.start(
            self.payhost(&["serve", "--listen", &self.address(1), "--public-url", &self.origin(1)])
                // The shop's address is on this machine, where webhooks do not go unless the operator says so.
                .args(["--webhook-allow-network", "127.0.0.0/8"])
                .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into())),
        )?;
        let key_file = self.set_up(component, &gateway)?;
        running.start(
            binary("example-shop")
                .args(["--listen", &self.address(0)])
                .args(["--payhost", &self.origin(1)])
                .arg("--key-file")
                .arg(key_file)
                .arg("--webhook-secret-file")
                .arg(self.webhook_secret_file())
                .arg("--data")
                .arg(self.folder("shop")),
        )?;
        Ok(())
    }

    /// What a person would do once with the command line. Doing it again changes nothing.
    fn set_up(&self, component: &Path, gateway: &Value) -> Result<PathBuf, Error> {
        // Built here again and again, in one version.
        self.cli(&["plugin", "install", "--replace", &component.display().to_string()])?;
        self.cli(&["plugin", "grant", "inicis", "--all"])?;
        let map = self.folder("gateway.json");
        write(&map, &gateway.to_string())?;
        self.cli(&["gateway-map", "import", &map.display().to_string()])?;
        let key_file = self.folder("shop.key");
        if key_file.exists() {
            return Ok(key_file);
        }
        let origin = self.origin(0);
        let shop = [
            "shop",
            "create",
            "--name",
            "작은 가게 (데모)",
            "--allowed-origin",
            &origin,
            "--private-webhooks",
        ];
        let shop = self.cli(&shop)?;
        let shop_id = text(&shop, "id")?;
        let channel = [
            "channel", "create", "--shop", shop_id, "--plugin", "inicis", "--preset", "test_pay", "--mode",
            "test",
        ];
        let channel = self.cli(&channel)?;
        self.tell_gateway(text(&channel, "notify_url")?)?;
        let hooks = format!("{}/webhooks", self.origin(0));
        let endpoint =
            self.cli(&["webhook", "create", "--shop", shop_id, "--to", &hooks, "--name", "demo shop"])?;
        write(&self.webhook_secret_file(), text(&endpoint, "secret")?)?;
        let key = self.cli(&["key", "create", "--shop", shop_id, "--mode", "test", "--name", "demo shop"])?;
        write(&key_file, text(&key, "secret")?)?;
        Ok(key_file)
    }

    /// What a merchant does in the gateway's admin: says where deposits are told to.
    fn tell_gateway(&self, notify_url: &str) -> Result<(), Error> {
        let body = serde_json::json!({"urls": {"INIpayTest": notify_url}}).to_string();
        let address = self.address(2);
        let request = format!(
            "PATCH /_sim/vbank/settings HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let send = || {
            let mut stream = std::net::TcpStream::connect(&address)?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        let answer = send().map_err(|cause| Error::Other(format!("the gateway at {address}: {cause}")))?;
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        Err(Error::Other(format!("the gateway did not take the notice address: {answer}")))
    }

    fn webhook_secret_file(&self) -> PathBuf {
        self.folder("webhook.secret")
    }

    fn payhost(&self, words: &[&str]) -> Command {
        let mut command = binary("payhost");
        command.arg("--data").arg(self.folder("payhost")).args(words);
        command
    }

    fn cli(&self, words: &[&str]) -> Result<Value, Error> {
        let printed = crate::run::output(self.payhost(&["--json"]).args(words))?;
        serde_json::from_str(&printed)
            .map_err(|cause| Error::Other(format!("payhost {}: {cause}", words.join(" "))))
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|cause| Error::File { path: path.display().to_string(), cause })
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Error> {
    value
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Error::Other(format!("payhost answered without `{name}`")))
}

fn binary(name: &str) -> Command {
    let mut command = Command::new(target_dir().join("debug").join(name));
    command.current_dir(root());
    command
}

/// Programs of the demo, in the order in which they were started.
#[derive(Default)]
struct Running(Vec<(String, Child)>);

impl Running {
    /// Starts a program and waits for its first line, which is JSON or an address.
    fn start(&mut self, command: &mut Command) -> Result<Value, Error> {
        let name = crate::run::typed(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|cause| Error::NotStarted { command: name.clone(), cause })?;
        let stdout = child.stdout.take();
        self.0.push((name.clone(), child));
        let Some(stdout) = stdout else { return Ok(Value::Null) };
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().and_then(Result::ok);
        let first = first.ok_or_else(|| Error::Other(format!("`{name}` ended before it was ready")))?;
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Ok(serde_json::from_str(&first).unwrap_or(Value::String(first)))
    }

    /// Ends them all, the last one first.
    fn stop(&mut self) {
        for (_, child) in self.0.iter_mut().rev() {
            let pid = child.id().to_string();
            // Standard Rust cannot send SIGTERM, and a graceful end is wanted.
            let _ = Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status();
        }
        for (_, child) in &mut self.0 {
            let _ = child.wait();
        }
        self.0.clear();
    }
}

/// Waits for Ctrl-C, or until one of the programs ends by itself.
fn wait(running: &mut Running) -> Result<(), Error> {
    let (send, receive) = channel();
    ctrlc::set_handler(move || {
        let _ = send.send(());
    })
    .map_err(|cause| Error::Other(cause.to_string()))?;
    loop {
        if receive.recv_timeout(std::time::Duration::from_millis(300)).is_ok() {
            return Ok(());
        }
        for (name, child) in &mut running.0 {
            if let Ok(Some(status)) = child.try_wait() {
                let name = name.clone();
                running.stop();
                return Err(Error::Other(format!("`{name}` ended by itself ({status})")));
            }
        }
    }
}
