//! Behaviours that try the limits.

use std::hint::black_box;

use crate::bindings::payhost::plugin::types::Context;
use crate::bindings::payhost::plugin::{crypto, log};
use crate::setting;

/// Does it; `None`: this is not one of these.
pub fn run(behaviour: &str, context: &Context) -> Option<String> {
    Some(match behaviour {
        "ok" => format!("ok {} {}", context.now_ms, context.seed),
        "panic" => panic!("on purpose, with {}", setting(context, "text")),
        "loop" => loop {
            black_box(());
        },
        "recursion" => recurse(1).to_string(),
        "memory" => memory(),
        "return" => "x".repeat(10 << 20),
        "return 200 MB" => "x".repeat(200 << 20),
        "log storm" => {
            for line in 0..10_000 {
                log::write(log::Level::Info, &format!("line {line}"), &[]);
            }
            "logged".into()
        }
        "output storm" => {
            let piece = "y".repeat(64 << 10);
            for _ in 0..1_000 {
                print!("{piece}");
                eprintln!("{piece}");
            }
            "printed".into()
        }
        "log flood" => {
            log::write(log::Level::Info, &"y".repeat(1 << 20), &[]);
            "logged".into()
        }
        "log" => {
            log::write(
                log::Level::Info,
                setting(context, "text"),
                &[("field".into(), setting(context, "text").into())],
            );
            println!("{}", setting(context, "text"));
            "logged".into()
        }
        "host call storm" => loop {
            log::write(log::Level::Debug, "x", &[]);
        },
        "hash storm" => {
            let bytes = vec![0_u8; 1 << 20];
            loop {
                let _ = black_box(crypto::digest("sha-512", &[crypto::Part::Bytes(bytes.clone())]));
            }
        }
        "fill storm" => {
            let mut bytes = vec![0_u8; 32 << 20];
            loop {
                black_box(&mut bytes).fill(black_box(1));
            }
        }
        "exit" => std::process::exit(3),
        "wild" => {
            let address = black_box(usize::MAX - 3) as *const u32;
            #[allow(unsafe_code, reason = "the attack itself")]
            // SAFETY: none; the sandbox must stop it.
            let value = unsafe { address.read_volatile() };
            value.to_string()
        }
        "world" => world(),
        "random" => {
            let state = std::hash::RandomState::new();
            format!("{}", std::hash::BuildHasher::hash_one(&state, 1))
        }
        "timing" => timing(),
        "sleep" => {
            std::thread::sleep(std::time::Duration::from_secs(3_600));
            "slept".into()
        }
        _ => return None,
    })
}

/// Warnings of `begin`: none, or 200 MB of text that takes 1 MiB of memory, because all of it is the same MiB.
pub fn warnings(context: &Context) -> Vec<String> {
    if setting(context, "behaviour") != "return aliases" {
        return vec![];
    }
    let text: &'static str = "x".repeat(1 << 20).leak();
    #[allow(unsafe_code, reason = "the attack itself")]
    // SAFETY: none; the strings share their bytes. The host must refuse them before anybody frees one.
    let alias = || unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), text.len(), text.len()) };
    (0..200).map(|_| alias()).collect()
}

/// What every clock says around work of very different lengths: a plugin that can time the host can signal and listen.
fn timing() -> String {
    let mut seen = std::collections::BTreeSet::new();
    let (start, epoch) = (std::time::Instant::now(), std::time::UNIX_EPOCH);
    let mut look = || {
        let wall = std::time::SystemTime::now().duration_since(epoch).unwrap();
        seen.insert((start.elapsed().as_nanos(), wall.as_nanos()));
    };
    let bytes = vec![0_u8; 1 << 16];
    for size in [0, 1, 1_000, 65_536] {
        look();
        let _ = black_box(crypto::digest("sha-512", &[crypto::Part::Bytes(bytes[..size].to_vec())]));
        look();
        for _ in 0..size * 10 {
            black_box(());
        }
        look();
    }
    format!("readings={} elapsed={}", seen.len(), start.elapsed().as_nanos())
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + frame[black_box(7)] }
}

fn memory() -> String {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// What can be seen of the machine.
fn world() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let start = std::time::Instant::now();
    for _ in 0..1_000 {
        black_box(());
    }
    let elapsed = start.elapsed().as_nanos();
    let vars = std::env::vars().count();
    let args = std::env::args().count();
    let file = std::fs::read("/etc/passwd").is_ok();
    let dir = std::fs::read_dir("/").is_ok();
    format!("now={now} elapsed={elapsed} vars={vars} args={args} file={file} dir={dir}")
}
