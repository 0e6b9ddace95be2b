//! `cold-start`: what the first call waits for.

use std::time::Instant;

use payhost_engine::CacheOptions;

use crate::figures::{Figures, Times};
use crate::fixture;

const RUNS: usize = 5;

pub fn run(inicis: &[u8], figures: &mut Figures) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let dir = std::env::temp_dir().join(format!("payhost-bench-{}", std::process::id()));
    let [mut starts, mut compiles, mut loads] = [(); 3].map(|()| Times::default());
    for _ in 0..RUNS {
        for times in [&mut compiles, &mut loads] {
            let cache = CacheOptions { dir: dir.clone(), key: [1; 32], max_bytes: 1 << 30 };
            let start = Instant::now();
            let engine = fixture::engine(2, 1_000, Some(cache));
            starts.push(start.elapsed());
            let start = Instant::now();
            runtime.block_on(engine.load(inicis)).expect("the plugin loads");
            times.push(start.elapsed());
        }
        std::fs::remove_dir_all(&dir).expect("the cache can be removed");
    }
    for (name, mut times, must) in
        [("engine", starts, None), ("compile", compiles, None), ("cached", loads, Some(100.0))]
    {
        figures.add(&format!("cold-start.{name}"), times.percentile(0.5) / 1000.0, "ms", None, must);
    }
}
