//! A PostgreSQL of our own for tests, in a temporary folder and on a unix socket, and a pooler in front of it. Invariant: they end
//! with the process that started them, however that ends: a shell waits at the other end of a pipe.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests: a surprise ends the test with its place"
)]

mod pooler;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tempfile::TempDir;

pub use pooler::Pooler;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    bin: PathBuf,
    user: Option<(u32, u32)>,
    settings: String,
    /// Where it listens; the socket is named after it.
    port: u16,
    /// Ends the server and removes the folder when its standard input ends.
    _warden: Child,
}

/// What a test needs of PostgreSQL is speed, and that nothing happens by itself; nobody pulls the plug here.
pub const FAST: &str = "-c fsync=off -c full_page_writes=off -c autovacuum=off";

/// As it is delivered.
pub const SAFE: &str = "";

impl Server {
    /// Makes a cluster and starts it with these settings.
    #[must_use]
    pub fn start(settings: &str) -> Self {
        let server = Self::make(&format!("-c listen_addresses= {settings}"), 5432);
        server.go();
        server
    }

    /// The same with a port on this machine, on which it takes nobody without TLS: its certificate and key, as PEM.
    #[must_use]
    pub fn start_with_tls(settings: &str, certificate: &str, key: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "-c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file=server.crt -c ssl_key_file=server.key {settings}"
        );
        let server = Self::make(&settings, port);
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            server.write(name, text);
        }
        server.write("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 trust\n");
        server.go();
        server
    }

    fn make(settings: &str, port: u16) -> Self {
        let bin = binaries();
        let user = unprivileged();
        let folder = folder(user);
        let warden = warden(&folder, &bin, user);
        let server = Self { folder, bin, user, settings: settings.to_owned(), port, _warden: warden };
        let data = server.data();
        let options = ["--auth=trust", "--username=payhost", "--encoding=UTF8", "--locale=C", "--no-sync"];
        server.run("initdb", &[&["--pgdata", data.to_str().unwrap()], options.as_slice()].concat());
        server
    }

    /// Writes a file into the folder of its data, which it reads at the next start.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = self.user {
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
    }

    /// Starts it (again) and waits until it answers.
    pub fn go(&self) {
        let (data, log) = (self.data(), self.folder.join("log"));
        let settings = format!(
            "-k {} -c port={} -c max_connections=200 {}",
            self.folder.display(),
            self.port,
            self.settings
        );
        let (data, log) = (data.to_str().unwrap(), log.to_str().unwrap());
        self.run("pg_ctl", &["start", "--wait", "--silent", "-D", data, "-l", log, "-o", &settings]);
    }

    /// kill -9 of the postmaster; its children see that and end without a word.
    pub fn kill(&self) {
        let pid = self.pid();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        // Until the last child is gone the next start is refused.
        let gone = format!("while kill -0 {pid} 2>/dev/null; do :; done");
        assert!(Command::new("sh").args(["-c", &gone]).status().unwrap().success());
    }

    /// A stop in good order, which breaks all connections.
    pub fn stop(&self) {
        self.run(
            "pg_ctl",
            &["stop", "--wait", "--silent", "-m", "fast", "-D", self.data().to_str().unwrap()],
        );
    }

    /// Folder of the socket.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// Its port, if it has one, and the number in the name of its socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new database; its address.
    #[must_use]
    pub fn database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.address(&name)
    }

    /// The address of a database.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        format!("postgres:///{database}?user=payhost&host={}&port={}", self.folder.display(), self.port)
    }

    /// The name of a database by its address.
    #[must_use]
    pub fn name_of(address: &str) -> &str {
        address.trim_start_matches("postgres:///").split('?').next().unwrap()
    }

    /// Runs statements as a person would, beside the store.
    pub fn sql(&self, database: &str, sql: &str) {
        let (address, sql) = (self.address(database), sql.to_owned());
        // The driver has a runtime of its own, so it cannot run on a thread of another.
        let run = move || {
            let config: postgres::Config = address.parse().unwrap();
            config.connect(postgres::NoTls).unwrap().batch_execute(&sql).unwrap();
        };
        thread::spawn(run).join().unwrap();
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn pid(&self) -> String {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.bin.join(program));
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null());
        become_user(&mut command, self.user);
        let status = command.status().unwrap();
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {status}\n{log}");
    }
}

/// The folder with `initdb` and its like.
fn binaries() -> PathBuf {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    for parent in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr"] {
        let mut found: Vec<PathBuf> = fs::read_dir(parent)
            .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
            .unwrap_or_default();
        found.sort();
        folders.extend(found.into_iter().rev());
    }
    folders.push("/usr/local/pgsql/bin".into());
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists()).expect(
        "PostgreSQL's programs (initdb, pg_ctl) are not on this machine. They come with `apt-get install postgresql` \
         (Debian, Ubuntu), `dnf install postgresql-server` (Fedora) or `brew install postgresql`",
    )
}

/// PostgreSQL refuses to run as root; then it runs as `postgres`, or else as `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
        Some((fields.next()?, fields.next()?))
    };
    Some(
        of("postgres").or_else(|| of("nobody")).expect("no user `postgres` or `nobody` to run PostgreSQL as"),
    )
}

/// A new folder for programs of this user.
fn folder(user: Option<(u32, u32)>) -> PathBuf {
    let folder = TempDir::with_prefix("payhost-pg-").unwrap().keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).unwrap();
    }
    folder
}

fn become_user(command: &mut Command, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

fn warden(folder: &Path, bin: &Path, user: Option<(u32, u32)>) -> Child {
    let script = "cat >/dev/null; \"$1/pg_ctl\" stop --silent -m immediate -D \"$0/data\"; rm -rf \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(folder).arg(bin).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    become_user(&mut command, user);
    command.spawn().unwrap()
}
