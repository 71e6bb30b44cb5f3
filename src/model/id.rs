//! Identifiers: a newtype each over UUIDv7, so that a run's id is never taken for a unit's and rows sort by age.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh identifier, later than every earlier one of this process.
            #[expect(clippy::new_without_default, reason = "a default identifier would be a random one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

id! {
    /// An organization: the tenant that owns every row below it.
    OrganizationId;
    /// A specification, across all its versions.
    SpecId;
    /// One version of the task graph of a specification.
    PlanId;
    /// One execution of a plan.
    RunId;
    /// One atomic unit within one run.
    UnitId;
    /// One try of one unit.
    AttemptId;
    /// Something of a budget that was set aside, and then used.
    SpendId;
    /// A question about a unit.
    QuestionId;
    /// A remembered success or failure.
    PatternId;
    /// A worker process, one per start.
    WorkerId;
}

/// The organization of an installation without accounts; created by the first migration.
pub const LOCAL_ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
