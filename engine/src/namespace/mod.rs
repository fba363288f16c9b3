//! What a namespace is, as values with pure transitions. Nothing here asks a store.
//!
//! | module         | what it answers                                                        |
//! |----------------|------------------------------------------------------------------------|
//! | [`head`]       | How does the next head come out of a head?                             |
//! | [`invariants`] | What does every head satisfy?                                          |
//! | [`segments`]   | What do flushes and merges change, and what is merged next?            |
//! | [`overlay`]    | What is committed and not indexed, and what does it say of an id?      |
//! | [`request`]    | What do clients write, and what are they told?                         |
//! | [`question`]   | What do clients ask, and what are they told?                           |
//! | [`documents`]  | What does a group of requests write?                                   |
//! | `effects`      | What does one request do to documents?                                 |
//! | [`matched`]    | Which documents do the filters of a write match?                       |
//! | [`schema`]     | What type has a value, and does it fit?                                |
//! | [`snapshot`]   | What does a node hold of a namespace at one head?                      |

pub mod documents;
mod effects;
pub mod head;
pub mod invariants;
pub mod matched;
pub mod overlay;
pub mod question;
pub mod request;
pub mod schema;
pub mod segments;
pub mod snapshot;
