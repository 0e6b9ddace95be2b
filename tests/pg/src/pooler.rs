//! pgbouncer in front of a server, as the same user: it refuses to run as root, too.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Server, become_user, folder};

/// A pooler that runs.
#[derive(Debug)]
pub struct Pooler {
    folder: PathBuf,
    /// Ends it and removes the folder when its standard input ends.
    _warden: Child,
}

/// In the name of its socket.
const PORT: u16 = 6432;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

impl Pooler {
    /// Starts it with this `pool_mode`, for every database of a server.
    #[must_use]
    pub fn start(server: &Server, pool_mode: &str) -> Self {
        let folder = folder(server.user);
        let text = format!(
            "[databases]\n* = host={} port={}\n\
             [pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nunix_socket_mode = 0777\n\
             auth_type = trust\nauth_file = {folder}/users\npool_mode = {pool_mode}\nmax_client_conn = 500\n\
             default_pool_size = 20\nlogfile = {folder}/log\n",
            server.socket_folder().display(),
            server.port(),
            folder = folder.display(),
        );
        for (name, text) in [("pgbouncer.ini", text.as_str()), ("users", "\"payhost\" \"\"\n")] {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = server.user {
                chown(&path, Some(uid), Some(gid)).unwrap();
            }
        }
        let script = "\"$1\" -q \"$0/pgbouncer.ini\" & cat >/dev/null; kill $!; rm -rf \"$0\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&folder).arg(program()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        become_user(&mut command, server.user);
        let pooler = Self { _warden: command.spawn().unwrap(), folder };
        let socket = pooler.folder.join(format!(".s.PGSQL.{PORT}"));
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            let log = || fs::read_to_string(pooler.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "pgbouncer did not start: {}", log());
            thread::yield_now();
        }
        pooler
    }

    /// The address of a database behind it.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        format!("postgres:///{database}?user=payhost&host={}&port={PORT}", self.folder.display())
    }
}

fn program() -> PathBuf {
    let folders = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let folders =
        folders.unwrap_or_default().into_iter().chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.exists()).expect(
        "pgbouncer is not on this machine. It comes with `apt-get install pgbouncer` (Debian, Ubuntu), `dnf install pgbouncer` \
         (Fedora) or `brew install pgbouncer`",
    )
}
