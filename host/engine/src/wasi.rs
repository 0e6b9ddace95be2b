//! WASI is there so that stock toolchains link, and it is inert: no files, no network, no environment, a clock that stands
//! at the call's moment, random bytes that follow from the call's seed, and output that ends up in the log.

use std::io;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rand::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiView};

use crate::logs::LogSource;
use crate::state::{SharedLogs, State};

/// Handles that an instance may hold at once.
pub(crate) const HANDLES: usize = 256;
/// Random bytes that one request may ask for.
const RANDOM_BYTES: u64 = 64 << 10;

/// Prefixes of the interfaces that [`link`] offers, for messages about those that it does not.
pub(crate) const OFFERED: &[&str] =
    &["wasi:io/", "wasi:cli/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/"];

struct HasIo;

impl HasData for HasIo {
    type Data<'a> = &'a mut ResourceTable;
}

/// Adds WASI, interface by interface. `wasi:sockets` and `wasi:http` are not among them: a component that wants them is
/// refused when it is loaded.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use wasmtime_wasi_io::bindings::wasi::io;
    type T = State;
    let l = linker;
    io::error::add_to_linker::<T, HasIo>(l, T::table)?;
    io::poll::add_to_linker::<T, HasIo>(l, T::table)?;
    io::streams::add_to_linker::<T, HasIo>(l, T::table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    random::random::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    cli::environment::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::exit::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    Ok(())
}

/// The context of one call.
pub(crate) fn context(now_ms: i64, seed: [u8; 16], logs: &SharedLogs) -> WasiCtx {
    let now = Fixed(Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)));
    let mut builder = WasiCtx::builder();
    builder
        .wall_clock(now)
        .monotonic_clock(now)
        .secure_random(Seeded::new(seed, b"secure"))
        .insecure_random(Seeded::new(seed, b"insecure"))
        .insecure_random_seed(u128::from_le_bytes(seed))
        .max_random_size(RANDOM_BYTES)
        .stdout(Output { logs: logs.clone(), source: LogSource::Stdout })
        .stderr(Output { logs: logs.clone(), source: LogSource::Stderr });
    builder.build()
}

/// A clock that stands.
#[derive(Clone, Copy)]
struct Fixed(Duration);

impl HostWallClock for Fixed {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }
    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Fixed {
    fn resolution(&self) -> u64 {
        1_000_000
    }
    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// SHA-256 in counter mode: the same bytes for the same seed in every version of the host, so that a replay is exact.
struct Seeded {
    seed: [u8; 16],
    purpose: &'static [u8],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Seeded {
    fn new(seed: [u8; 16], purpose: &'static [u8]) -> Self {
        Self { seed, purpose, counter: 0, block: [0; 32], used: 32 }
    }

    fn byte(&mut self) -> u8 {
        if self.used >= self.block.len() {
            let hasher = Sha256::new().chain_update(self.seed).chain_update(self.purpose);
            self.block = hasher.chain_update(self.counter.to_le_bytes()).finalize().into();
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or_default();
        self.used = self.used.saturating_add(1);
        byte
    }
}

impl TryRng for Seeded {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.iter_mut().for_each(|byte| *byte = self.byte());
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

/// An output stream whose every write is log lines. It never fails and never waits: a full log drops.
#[derive(Clone)]
struct Output {
    logs: SharedLogs,
    source: LogSource,
}

impl Output {
    fn lines(&self, bytes: &[u8]) {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).write_output(self.source, bytes);
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines(&bytes);
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lines(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_each_purpose_its_own() {
        let take = |seed, purpose| {
            let mut bytes = [0_u8; 100];
            Seeded::new(seed, purpose).try_fill_bytes(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(take([7; 16], b"secure"), take([7; 16], b"secure"));
        assert_ne!(take([7; 16], b"secure"), take([7; 16], b"insecure"));
        assert_ne!(take([7; 16], b"secure"), take([8; 16], b"secure"));
    }
}
