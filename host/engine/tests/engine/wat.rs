//! Components by hand, for what no compiler makes.

/// A start function that does nothing.
pub const COMPONENT_START: &str = "(func $start)";

/// A component that exports `plugin` with functions of the wrong types and runs `start` (which defines `$start`) when an
/// instance of it is made: far enough to be tried, and no farther.
pub fn component(start: &str) -> Vec<u8> {
    component_of(start, "payhost:plugin/plugin@0.1.0", &["describe", "check"])
}

/// The same with these functions in an instance of this name.
pub fn component_of(start: &str, interface: &str, functions: &[&str]) -> Vec<u8> {
    let exports: String = functions.iter().map(|name| format!(r#"(export "{name}" (func $f))"#)).collect();
    let text = format!(
        r#"(component
            (core module $m {start} (func (export "f")) (start $start))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $plugin {exports})
            (export "{interface}" (instance $plugin)))"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The end of every component here: an export that is looked for, of a type that nobody wants. Needs a core function `$i "f"`.
const TAIL: &str = r#"
    (func $f (canon lift (core func $i "f")))
    (instance $plugin (export "describe" (func $f)) (export "check" (func $f)))
    (export "payhost:plugin/plugin@0.1.0" (instance $plugin))"#;

/// A component of these definitions, which make a core instance `$i` with an export `f`.
pub fn component_with(definitions: &str) -> Vec<u8> {
    let text = format!("(component {definitions} {TAIL})");
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
