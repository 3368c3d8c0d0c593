//! Deliberate bugs, to see whether the simulator finds them: a switch of this thread, off unless a test turns one on.

use std::cell::Cell;

/// Each a mistake that somebody could make. Those of the second half live in the simulator's model of the master's shell,
/// because the engine has no such code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Only the first fact of a turn says what caused it; the others take it for the clock.
    CauseForgotten,
    /// A build that is stopped keeps the locks of its step.
    LocksKeptOnStop,
    /// After a restart from a snapshot, requests that are being built wait, too.
    RequestTwiceAfterRestart,
    /// A request whose build ended with `retry` does not wait again.
    RetryLost,
    /// Of requests for the same, the newest ends instead of the older ones.
    CollapseDropsNewest,
    /// A build that ends with `retry` keeps its worker's slot.
    SlotKeptOnLoss,
    /// Priorities do not count.
    PriorityIgnored,
    /// A further change does not let the quiet period begin anew.
    QuietNotRestarted,
    /// Changes of two branches become one build.
    BranchesJoined,
    /// A quiet period that was running is forgotten by a restart.
    QuietLostOnRestart,
    /// A build that waits for what it triggered is not told of the end.
    ParentNotTold,
    /// Who is stopped twice is reported twice.
    StopTwiceEndsTwice,
    /// The end of an old connection counts as the end of the new one.
    FencedConnectionHeard,
    /// What a build waits for in time is forgotten by a restart.
    WaitForgottenOnRestart,
    /// A dependent scheduler does not look how its upstream ended.
    DependentOnFailure,
    /// A dependent build does not know the changes of requests that its upstream swallowed.
    CollapsedForgottenByDependent,
    /// Reports in the outbox are put there again by a restart.
    ReportAgainOnRestart,
    /// Nobody is told that a build started which has its slot from another one.
    BorrowersStartUntold,
    /// A report leaves although an earlier one about the same target has not arrived.
    ReportOvertakes,
    /// A paused worker gets builds.
    PausedGetsBuilds,
    /// A result is compared with that of another branch.
    BranchesCompared,
    /// A build that skips what is broken counts as its repair.
    SkippedRepairs,
    /// The end of one of several parallel commands is taken for that of the first.
    WrongBranchAnswered,
    /// The answer of an upload forgets what was kept.
    ArtifactsForgotten,
    /// A worker that does not come back after a restart of the master is waited for, for ever.
    GraceForgottenOnRestart,
    /// A command is sent again to a worker that came back without its memory.
    SentAgainWithoutMemory,
    /// Who asks for locks later gets them first.
    LockQueueJumped,
    /// A hook's call is recorded, and once more by the poller of its repository.
    HookRecordsToo,
    /// A hook that only wakes pollers records what it was told of.
    WakeRecords,
    /// What a hook announced counts as seen, and the poller's change is dropped.
    AnnouncedTakenForSeen,
    /// Of several changes that a poll finds, one is lost.
    PolledChangeLost,
    /// A second build of a builder gets the directory of the first one.
    DirShared,
    /// A directory is free as soon as its build ended, whatever still runs there.
    DirFreedTooEarly,
    /// Nobody looks whether a stock worker has had its time to kill its leftovers.
    LeftoversForEver,
    /// A directory is free as soon as a stock worker has heard that it is to kill what runs there.
    KillTimeIgnored,
    /// A build that only waits keeps its slot to itself.
    SlotNeverLent,
    /// A slot is lent to two builds at a time.
    SlotLentTwice,
    /// A build goes on while another one uses its slot.
    SlotNotTakenBack,
    /// Builds that wait for each other for ever are left alone.
    DeadlockUntold,
    /// Nobody looks at the queue when a worker is not paused any more.
    UnpauseUnnoticed,
    /// A change that a filter did not decide on is forgotten.
    UndecidedSkipped,
    /// A builder starts where `can_start` gave no answer.
    UndecidedStarts,
    /// A function that failed is not told of.
    FailureUntold,
    /// A function that is suspended is asked.
    SuspendedAsked,
    /// A build whose evaluation is lost again and again is not given up.
    LossesForgotten,
    /// What a new configuration lacks stays in force.
    RemovedNameStays,

    /// A report leaves before it is durable.
    SentBeforeCommit,
    /// The last part that is there is asked for and written once more.
    LogPartDoubledOnResume,
    /// A snapshot is kept before the log lines that go with its facts.
    SnapshotBeforeLogs,
    /// The worker is told that the end of its command is durable before it is.
    EndAcknowledgedTooEarly,
    /// A torn last batch is taken for whole as far as it goes.
    TornBatchTaken,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether this bug is planted here.
pub fn on(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Plants a bug, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}
