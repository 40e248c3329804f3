//! The words that rows and requests share.

use std::fmt;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

/// An enum that is a word in JSON and in a text column.
macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
                 AsExpression, FromSqlRow)]
        #[diesel(sql_type = Text)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<DB: Backend> ToSql<Text, DB> for $name
        where
            str: ToSql<Text, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.as_str().to_sql(out)
            }
        }

        impl<DB: Backend> FromSql<Text, DB> for $name
        where
            String: FromSql<Text, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                let word = String::from_sql(bytes)?;
                Self::parse(&word).ok_or_else(|| format!("unknown {}: {word}", stringify!($name)).into())
            }
        }
    )*};
}

words! {
    /// What a job uses the car for; consent is given per purpose.
    Purpose {
        Inference = "inference",
        Simulation = "simulation",
        Video = "video",
    }
    /// What kind of data travels to the car. Personal data is barred.
    DataClass {
        Synthetic = "synthetic",
        NonPersonal = "non_personal",
    }
    Runtime {
        Wasm = "wasm",
        Onnx = "onnx",
    }
    /// What a battery is made of.
    Chemistry {
        /// Lithium iron phosphate.
        Lfp = "lfp",
        /// Nickel, manganese or aluminium, and cobalt.
        Nmc = "nmc",
    }
    /// How an owner is credited.
    PayIn {
        Cash = "cash",
        Credits = "credits",
    }
    JobState {
        Active = "active",
        Completed = "completed",
        /// A task failed for good, the budget was exhausted or the deadline passed.
        Failed = "failed",
        Cancelled = "cancelled",
    }
    /// What becomes of running tasks while a job is paused.
    Pause {
        /// They run to their end.
        Finish = "finish",
        /// Their cars are told to leave.
        Vacate = "vacate",
    }
    /// Why a job failed.
    JobReason {
        /// All tasks have ended and one that had to complete has failed.
        TasksFailed = "tasks_failed",
        /// The first tasks have failed by the program, and none completed.
        ProgramFailsEverywhere = "program_fails_everywhere",
        /// Its deadline passed, or its bid was in force no more.
        Deadline = "deadline",
        /// What is left of the budget does not reach for a lease.
        Budget = "budget",
        /// A task failed of a stage that another waits for.
        StageFailed = "stage_failed",
        /// A row names a blob that the customer did not store.
        InputMissing = "input_missing",
        /// A row or a template filled has more than 1 MiB, or the outputs that a task was to take
        /// more than a blob may have.
        InputTooLarge = "input_too_large",
    }
    /// What a ban is of.
    BanKind {
        /// By digest.
        Program = "program",
        /// By id.
        Customer = "customer",
    }
    /// Where the inputs of a stage's tasks come from.
    Source {
        List = "list",
        Template = "template",
        /// The lines of a blob.
        Rows = "rows",
        /// What another stage put out.
        Outputs = "outputs",
    }
    /// As what a task gets the outputs of other tasks.
    Gather {
        /// A tar of them, and a `manifest.json`.
        Archive = "archive",
        /// The manifest alone.
        Manifest = "manifest",
    }
    TaskState {
        Queued = "queued",
        Leased = "leased",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
    }
    LeaseState {
        Offered = "offered",
        Running = "running",
        Ended = "ended",
        Settled = "settled",
    }
    /// Why a lease ended.
    EndReason {
        /// The job had no more queued tasks.
        NoWork = "no_work",
        Term = "term",
        /// The driver came back, or the car stopped being eligible.
        Vacated = "vacated",
        /// Consent was withdrawn.
        Evicted = "evicted",
        /// The customer cancelled the job.
        Cancelled = "cancelled",
        /// No heartbeat.
        Lost = "lost",
        /// The car never took the offer.
        NotTaken = "not_taken",
        /// The car failed an attempt.
        Failed = "failed",
    }
    /// How an attempt ended, `running` while it has not.
    AttemptOutcome {
        Running = "running",
        Completed = "completed",
        Checkpointed = "checkpointed",
        Vacated = "vacated",
        FailedProgram = "failed_program",
        FailedCar = "failed_car",
        Cancelled = "cancelled",
        Lost = "lost",
    }
    /// Availability window of a cell: how long its cars surely stay.
    Stay {
        /// A full term, or for ever as far as anybody knows.
        Term = "term",
        /// A short lease, but no full term.
        Short = "short",
    }
    /// Why a bid was not in the book of a tick, though its job waits for cars.
    LeftOut {
        /// Its time in force is over.
        Expired = "expired",
        /// Every region that it accepts is halted.
        Halted = "halted",
        /// No idle car suits it.
        NoSupply = "no_supply",
        /// What is left of its budget buys too few lanes for the shortest lease.
        Budget = "budget",
    }
    /// Why a lane that was sold found no lawful car.
    NoCar {
        /// The job ended or was cancelled while the market cleared.
        JobEnded = "job_ended",
        /// The bid was changed to a price or a time under which it would not have won.
        BidChanged = "bid_changed",
        /// What is left of the budget does not pay for one second of the lanes won.
        Budget = "budget",
        /// The car left, or was let, while the market cleared.
        CarGone = "car_gone",
        /// Its owner asks for more, or allows less, than when the market cleared.
        CarChanged = "car_changed",
        /// An operator halted the region while the market cleared.
        Halted = "halted",
        /// What the job waits for is a second result, and this owner's cars made the first.
        AlreadyRan = "already_ran",
        /// Of the lanes that the job must have at once some found no car.
        BelowMinFill = "below_min_fill",
    }
    /// What was found of a result that a car named.
    ClaimState {
        Pending = "pending",
        Right = "right",
        Dissent = "dissent",
        /// There was too little to compare it with.
        Undecided = "undecided",
    }
    /// Whether an attempt is paid; `pending` until that is known.
    Verdict {
        Pending = "pending",
        Paid = "paid",
        Unpaid = "unpaid",
    }
}

impl From<Runtime> for vehicle::protocol::Runtime {
    fn from(runtime: Runtime) -> Self {
        match runtime {
            Runtime::Wasm => Self::Wasm,
            Runtime::Onnx => Self::Onnx,
        }
    }
}

/// The set of (purpose, data class) pairs that an owner allows: the eligibility group of a car.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Permits(pub i32);

impl Permits {
    fn bit(purpose: Purpose, data_class: DataClass) -> i32 {
        1 << (purpose as i32 * DataClass::ALL.len() as i32 + data_class as i32)
    }

    #[must_use]
    pub fn with(self, purpose: Purpose, data_class: DataClass) -> Self {
        Self(self.0 | Self::bit(purpose, data_class))
    }

    pub fn allows(self, purpose: Purpose, data_class: DataClass) -> bool {
        self.0 & Self::bit(purpose, data_class) != 0
    }
}
