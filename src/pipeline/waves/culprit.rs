//! Whose work made the checks of the whole fail, among what was merged since they last held.
//!
//! The history is halved first. A state in the middle of a wave may fail for what is missing only, so what that finds is looked at once more:
//! without the work of the right one, the checks hold. Where they do not, the others are left out one by one, up to a number.

use super::passed;
use super::whole::Whole;
use crate::exec::repository::{CommitId, Landed, Snapshot};
use crate::pipeline::PipelineError;

/// So many units are left out, one by one, to see whether the checks hold without them: each costs a whole check.
const LEFT_OUT_MAX: usize = 16;

/// The work that is taken to be why.
pub(super) struct Suspect {
    pub(super) landed: Landed,
    /// True when the checks hold without it.
    pub(super) confirmed: bool,
}

/// A search that begins at a head that is known to be red.
pub(super) struct Search<'a> {
    whole: &'a Whole<'a>,
    head: CommitId,
    /// States that were checked.
    pub(super) checked: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(whole: &'a Whole<'a>, head: CommitId) -> Self {
        Self { whole, head, checked: 0 }
    }

    /// Finds it, from the newest commit that is known to be green or else from where the branch starts.
    pub(super) async fn find(&mut self, green: Option<CommitId>) -> Result<Option<Suspect>, PipelineError> {
        let repository = self.whole.repository;
        let (from, known) = match green {
            Some(green) => (green, true),
            None => (repository.start().clone(), self.holds(&repository.start().into()).await?),
        };
        let mut suspects = repository.standing_between(&from, &self.head).await?;
        if known && suspects.len() == 1 {
            return Ok(suspects.pop().map(|landed| Suspect { landed, confirmed: true }));
        }
        let halved = self.halve(&from).await?.filter(|landed| suspects.contains(landed));
        let mut order: Vec<Landed> = halved.iter().cloned().collect();
        order.extend(suspects.into_iter().rev().filter(|landed| Some(landed) != halved.as_ref()));
        for landed in order.into_iter().take(LEFT_OUT_MAX) {
            let Some(without) = repository.without(&self.head, &landed).await? else { continue };
            if self.holds(&without).await? {
                return Ok(Some(Suspect { landed, confirmed: true }));
            }
        }
        // Several may be at fault. Where the start is known to be green, the first of them is the one at which that ended.
        Ok(halved.filter(|_| known).map(|landed| Suspect { landed, confirmed: false }))
    }

    async fn halve(&mut self, from: &CommitId) -> Result<Option<Landed>, PipelineError> {
        let (whole, head) = (self.whole, self.head.clone());
        let check = |commit: CommitId| async move { Ok::<_, PipelineError>(passed(&whole.check(&(&commit).into()).await?)) };
        let found = whole.repository.bisect(from, &head, check).await?;
        Ok(found.map(|found| {
            self.checked += found.checks;
            found.first_bad
        }))
    }

    async fn holds(&mut self, at: &Snapshot) -> Result<bool, PipelineError> {
        self.checked += 1;
        Ok(passed(&self.whole.check(at).await?))
    }
}
