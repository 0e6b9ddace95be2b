//! The contract in Rust is the contract in `wit/`, letter for letter: one struct per WIT type and one [`Function`] per
//! exported function, checked against every component when it is loaded.
//!
//! The structs cross into components (`ComponentType`, `Lift`, `Lower`) and have **one JSON form** (serde) for the CLI,
//! the journal and the replay:
//!
//! | WIT | JSON |
//! |---|---|
//! | record | object; names as in WIT with underscores |
//! | variant with a payload | `{"name": payload}` |
//! | variant without one, enum | `"name"` |
//! | absent option | `null` |
//! | result | `{"ok": …}` or `{"err": …}` |
//! | `list<u8>` | base64 text |
//! | tuple | array |

#![allow(clippy::large_enum_variant, clippy::type_complexity, reason = "the shapes are those of wit/")]

/// The version of the package `payhost:plugin` that this host speaks.
pub const VERSION: &str = version!();

/// The version, for [`interface`]: the one place where it is written.
macro_rules! version {
    () => {
        "0.1.0"
    };
}
use version;

/// Full name of an interface of the contract.
macro_rules! interface {
    ($name:literal) => {
        concat!("payhost:plugin/", $name, "@", crate::contract::version!())
    };
}

pub mod button_generator;
mod function;
pub mod general_pay;
pub mod imports;
pub mod json;
mod lazy;
pub mod money;
pub mod plugin;
pub mod subscription;
mod table;
pub mod types;
pub mod vbank_notice;

pub use function::{Answer, Argument, Arguments, ArgumentsError, Function, Network};
pub use lazy::Lazy;
pub(crate) use table::short_name;
pub use table::{AnyFunction, find, functions};
