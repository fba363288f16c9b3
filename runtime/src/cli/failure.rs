//! Why a command ended otherwise than it should, and the exit code that says so to scripts.

use std::io;
use std::process::ExitCode;

use super::serve::ServeError;
use crate::store::place::BadPlace;

/// Why a command was not done. `sana --help` lists the exit codes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failed {
    /// It could not be done now: it may be repeated.
    Trouble(String),
    /// The command line is wrong.
    Usage(String),
    /// What it is about is not there.
    NotFound(String),
    /// The request is wrong: repeating it will not help.
    Refused(String),
    /// Something in the store is damaged.
    Damaged(String),
    /// Nobody knows whether a write happened.
    Unknown(String),
    /// Who read the output went away, and needs no more of it.
    Unheard,
}

impl Failed {
    /// What to tell a person; nothing if nobody is there to be told.
    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Trouble(message)
            | Self::Usage(message)
            | Self::NotFound(message)
            | Self::Refused(message)
            | Self::Damaged(message)
            | Self::Unknown(message) => Some(message),
            Self::Unheard => None,
        }
    }

    /// What to tell a script.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unheard => 0,
            Self::Trouble(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused(_) => 4,
            Self::Damaged(_) => 5,
            Self::Unknown(_) => 6,
        })
    }

    /// The same of a write, when an earlier attempt at it may have happened.
    pub(super) fn unknown(self) -> Self {
        match self.message() {
            Some(message) => Self::Unknown(message.to_owned()),
            None => self,
        }
    }

    /// The same, with words before what it says.
    pub(super) fn after(self, words: &str) -> Self {
        let joined = |message: String| format!("{words}{message}");
        match self {
            Self::Trouble(message) => Self::Trouble(joined(message)),
            Self::Usage(message) => Self::Usage(joined(message)),
            Self::NotFound(message) => Self::NotFound(joined(message)),
            Self::Refused(message) => Self::Refused(joined(message)),
            Self::Damaged(message) => Self::Damaged(joined(message)),
            Self::Unknown(message) => Self::Unknown(joined(message)),
            Self::Unheard => Self::Unheard,
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unheard,
            _ => Self::Trouble(error.to_string()),
        }
    }
}

impl From<BadPlace> for Failed {
    fn from(bad: BadPlace) -> Self {
        match bad {
            BadPlace::Kind(_) | BadPlace::S3(_) => Self::Usage(bad.to_string()),
            BadPlace::Folder(_) | BadPlace::Bucket { .. } | BadPlace::Unfit { .. } => {
                Self::Trouble(bad.to_string())
            }
        }
    }
}

impl From<ServeError> for Failed {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::OpenToAll(_)
            | ServeError::EmptyKey
            | ServeError::CommitInterval
            | ServeError::Log { .. } => Self::Usage(error.to_string()),
            ServeError::Store(bad) => Self::from(bad),
            ServeError::Listen { .. } | ServeError::System(_) => Self::Trouble(error.to_string()),
        }
    }
}
