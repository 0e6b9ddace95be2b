//! Code that is loaded from here was compiled by this host, from this component, for this engine: a file is read once, its
//! HMAC is checked over all of it, and the checked bytes are what is loaded. Any doubt means "compile again".
//!
//! A file is named `<SHA-256 of the component>-<compatibility hash>.code` and holds
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `payhost code v1` and a line feed |
//! | 32 | SHA-256 of the component |
//! | 8 | compatibility hash of the engine (version, flags, tunables, features), little endian |
//! | 32 | HMAC-SHA-256 under the host's key over the three fields above and the code |
//! | rest | code, as wasmtime serializes it |

use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;
use zeroize::Zeroizing;

use crate::engine::CacheOptions;
use payhost_core::hex;

const MAGIC: &[u8; 16] = b"payhost code v1\n";
const HEADER: usize = 16 + 32 + 8 + 32;

/// Compiled components on disk.
pub(crate) struct Cache {
    dir: PathBuf,
    key: Zeroizing<[u8; 32]>,
    max_bytes: u64,
    compatibility: u64,
}

impl Cache {
    pub(crate) fn new(options: CacheOptions, engine: &Engine) -> Self {
        // `DefaultHasher::new` has fixed keys, so that the hash is the same in every process of this build.
        let compatibility =
            BuildHasherDefault::<DefaultHasher>::default().hash_one(engine.precompile_compatibility_hash());
        Self {
            dir: options.dir,
            key: Zeroizing::new(options.key),
            max_bytes: options.max_bytes,
            compatibility,
        }
    }

    fn path(&self, digest: [u8; 32]) -> PathBuf {
        self.dir.join(format!("{}-{:016x}.code", hex(&digest), self.compatibility))
    }

    /// The compiled component, if it is there beyond doubt.
    pub(crate) fn get(&self, engine: &Engine, digest: [u8; 32]) -> Option<Component> {
        let path = self.path(digest);
        let file = fs::read(&path).ok()?;
        let Some(code) = self.checked(digest, &file) else {
            tracing::warn!(path = %path.display(), "compiled code does not belong here or was tampered with; compiling again");
            let _ = fs::remove_file(&path);
            return None;
        };
        match deserialize(engine, code) {
            Ok(component) => {
                // Its time is when it was last used, for the eviction.
                let _ = fs::File::options()
                    .write(true)
                    .open(&path)
                    .and_then(|f| f.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code cannot be loaded; compiling again");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// The code in a file that this host has written for this component and engine.
    fn checked<'a>(&self, digest: [u8; 32], file: &'a [u8]) -> Option<&'a [u8]> {
        let (header, code) = file.split_at_checked(HEADER)?;
        let (fields, tag) = header.split_at_checked(HEADER - 32)?;
        let ours = fields == self.fields(digest).as_slice();
        let authentic = self.mac(fields, code)?.verify_slice(tag).is_ok();
        (ours && authentic).then_some(code)
    }

    fn fields(&self, digest: [u8; 32]) -> Vec<u8> {
        [MAGIC.as_slice(), &digest, &self.compatibility.to_le_bytes()].concat()
    }

    fn mac(&self, fields: &[u8], code: &[u8]) -> Option<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice()).ok()?;
        Some(mac.chain_update(fields).chain_update(code))
    }

    /// Keeps a compiled component. A failure costs only the next start some time.
    pub(crate) fn put(&self, digest: [u8; 32], component: &Component) {
        if let Err(error) = self.write(digest, component) {
            tracing::warn!(dir = %self.dir.display(), %error, "compiled code cannot be kept");
        }
    }

    fn write(&self, digest: [u8; 32], component: &Component) -> std::io::Result<()> {
        let code = component.serialize().map_err(std::io::Error::other)?;
        let fields = self.fields(digest);
        let mac =
            self.mac(&fields, &code).ok_or_else(|| std::io::Error::other("the cache key is not usable"))?;
        let tag = mac.finalize().into_bytes();
        make_private_dir(&self.dir)?;
        let path = self.path(digest);
        self.make_room(HEADER.saturating_add(code.len()).try_into().unwrap_or(u64::MAX))?;
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&fields)?;
        file.write_all(&tag)?;
        file.write_all(&code)?;
        fs::rename(&temporary, &path)
    }

    /// Deletes what was longest unused until `wanted` bytes fit.
    fn make_room(&self, wanted: u64) -> std::io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let (path, meta) = (entry.path(), entry.metadata()?);
            let ours = path.extension().is_some_and(|extension| extension == "code" || extension == "new");
            if meta.is_file() && ours {
                files.push((meta.modified()?, meta.len(), path));
            }
        }
        files.sort();
        let mut used: u64 = files.iter().map(|(_, bytes, _)| *bytes).sum();
        for (_, bytes, path) in files {
            if used.saturating_add(wanted) <= self.max_bytes {
                break;
            }
            fs::remove_file(&path)?;
            used = used.saturating_sub(bytes);
        }
        Ok(())
    }
}

#[allow(
    unsafe_code,
    reason = "wasmtime cannot tell compiled code from any other bytes; the safety argument is below"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` runs whatever machine code it is given, so the bytes must come from
    // `Component::serialize`. `checked` has verified an HMAC over exactly these bytes in memory (not over a file that may
    // change afterwards) under a key that only this host holds, and `write` computes that HMAC over the output of
    // `Component::serialize` alone. The compatibility hash inside of the authenticated header ties the bytes to this
    // version of wasmtime, its flags and this processor's features; wasmtime checks these once more.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(unix)]
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Allocation, config};

    const DIGEST: [u8; 32] = [5; 32];

    fn engine() -> Engine {
        Engine::new(&config(Allocation::OnDemand, 1 << 20, 100)).unwrap()
    }

    fn cache(dir: &Path, engine: &Engine, key: [u8; 32], max_bytes: u64) -> Cache {
        Cache::new(CacheOptions { dir: dir.to_owned(), key, max_bytes }, engine)
    }

    fn component(engine: &Engine) -> Component {
        // The smallest component: magic, version, layer.
        Component::from_binary(engine, b"\0asm\x0d\0\x01\0").unwrap()
    }

    #[test]
    fn what_was_kept_is_found_again() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let cache = cache(dir.path(), &engine, [1; 32], u64::MAX);
        assert!(cache.get(&engine, DIGEST).is_none());
        cache.put(DIGEST, &component(&engine));
        assert!(cache.get(&engine, DIGEST).is_some());
        assert!(cache.get(&engine, [6; 32]).is_none());
    }

    #[test]
    fn any_changed_byte_means_compile_again_and_the_file_goes() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let cache = cache(dir.path(), &engine, [1; 32], u64::MAX);
        cache.put(DIGEST, &component(&engine));
        let path = cache.path(DIGEST);
        let good = fs::read(&path).unwrap();
        let places = (0..HEADER).chain([HEADER, HEADER + 1, good.len() / 2, good.len() - 1]);
        for place in places {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(cache.get(&engine, DIGEST).is_none(), "byte {place}");
            assert!(!path.exists(), "byte {place}");
        }
        for length in [0, 1, HEADER - 1, HEADER, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            assert!(cache.get(&engine, DIGEST).is_none(), "cut to {length}");
        }
    }

    #[test]
    fn a_file_of_another_key_or_component_is_not_loaded() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let ours = cache(dir.path(), &engine, [1; 32], u64::MAX);
        cache(dir.path(), &engine, [2; 32], u64::MAX).put(DIGEST, &component(&engine));
        assert!(ours.get(&engine, DIGEST).is_none());
        ours.put(DIGEST, &component(&engine));
        fs::rename(ours.path(DIGEST), ours.path([9; 32])).unwrap();
        assert!(ours.get(&engine, [9; 32]).is_none());
    }

    #[test]
    fn code_for_another_configuration_has_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let (one, mut other) = (engine(), config(Allocation::OnDemand, 1 << 20, 100));
        let other = Engine::new(other.cranelift_nan_canonicalization(false)).unwrap();
        let paths = [&one, &other].map(|engine| cache(dir.path(), engine, [1; 32], u64::MAX).path(DIGEST));
        assert_ne!(paths[0], paths[1]);
    }

    #[test]
    fn what_was_longest_unused_goes_first() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let probe = cache(dir.path(), &engine, [1; 32], u64::MAX);
        probe.put([1; 32], &component(&engine));
        let one = fs::metadata(probe.path([1; 32])).unwrap().len();
        let cache = cache(dir.path(), &engine, [1; 32], one * 2);
        cache.put([2; 32], &component(&engine));
        let old = SystemTime::UNIX_EPOCH;
        fs::File::options().write(true).open(cache.path([2; 32])).unwrap().set_modified(old).unwrap();
        cache.put([3; 32], &component(&engine));
        assert!(
            cache.path([1; 32]).exists() && cache.path([3; 32]).exists() && !cache.path([2; 32]).exists()
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_directory_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let cache = cache(&dir.path().join("deep/er"), &engine, [1; 32], u64::MAX);
        cache.put(DIGEST, &component(&engine));
        assert_eq!(fs::metadata(&cache.dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
