//! Why a list or a watch does not go on.

use std::time::Duration;

use kube::core::Status;

use super::list::Malformed;

/// Why a list or a watch does not go on. It can always be begun again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Failed(#[from] kube::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// In the middle of a watch.
    #[error("the API server has ended the watch: {}", .0.message)]
    Told(Box<Status>),
    #[error("the API server has been silent for {}", humantime::format_duration(*.0))]
    Silent(Duration),
    #[error("the API server has ended the watch as soon as it had begun")]
    Short,
    #[error("the API server has told of something without a resource version")]
    NoVersion,
    #[error("the API server continues a list where it has begun")]
    EndlessList,
}

impl Broken {
    /// The status that the API server has answered with, where it has.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Failed(kube::Error::Api(status)) | Self::Told(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the API server does not remember what has happened since the resource version that it was asked about.
    pub(super) fn is_expired(&self) -> bool {
        self.status().is_some_and(|status| status.code == 410)
    }

    /// Whether the watch can go on from where it was: the API server is there, or was until a moment ago, and has not said
    /// that it cannot. One that could not be reached may be another one when it is back.
    pub(super) fn keeps_place(&self) -> bool {
        match self {
            Self::Failed(kube::Error::Api(status)) => status.code == 429 || status.code >= 500,
            // A line that is no text would come again.
            Self::Failed(kube::Error::ReadEvents(error)) => error.kind() != std::io::ErrorKind::InvalidData,
            Self::Silent(_) | Self::Short => true,
            Self::Failed(_) | Self::Malformed(_) | Self::Told(_) | Self::NoVersion | Self::EndlessList => false,
        }
    }
}
