//! What a namespace is, as values with pure transitions. Nothing here asks a store.
//!
//! | module       | what it answers                                                    |
//! |--------------|--------------------------------------------------------------------|
//! | [`overlay`]  | What is committed and not indexed, and what does it say of an id?  |
//! | [`request`]  | What do clients ask, and what are they told?                       |
//! | [`schema`]   | What type has a value, and does it fit?                            |
//! | [`snapshot`] | What does a node hold of a namespace at one head?                  |

pub mod overlay;
pub mod request;
pub mod schema;
pub mod snapshot;
