//! Words without behaviour, used on every floor above.
//!
//! | module     | what it answers                                                    |
//! |------------|--------------------------------------------------------------------|
//! | [`time`]   | When is now, on whose clock?                                       |
//! | [`id`]     | What numbers and nonces name things, and how are fresh ones drawn? |
//! | [`name`]   | What may a namespace, an attribute, an object be called?           |
//! | [`value`]  | What can a document hold?                                          |
//! | [`blob`]   | How are bytes shared, compared and checksummed?                    |
//! | [`cast`]   | What value does a client's text or number stand for?               |
//! | [`hex`]    | How are numbers spelled in keys?                                   |
//! | [`host`]   | What can the machine we run on do?                                 |
//! | [`limits`] | What is the most of everything?                                    |
//! | [`planted`]| Which bug is switched on, in tests that must find it?              |

pub mod blob;
pub mod cast;
pub mod hex;
pub mod host;
pub mod id;
pub mod limits;
pub mod name;
pub mod planted;
pub mod time;
pub mod value;
pub mod vector;
