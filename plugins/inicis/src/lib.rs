//! Placeholder.

wit_bindgen::generate!({ path: "../../wit", world: "everything" });
