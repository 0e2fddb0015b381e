//! Makes a recall again that stood in a log's lost end, by the selector as its notice told it.

use domain::RecallKeys;

use crate::application::Application;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Recalls what matches now, without a preview: the decision was made when the lost recall was. Of an owner the tag is
    /// enough. Safe to repeat under the same command id.
    ///
    /// # Errors
    /// [`CommandError`]; `nothing_matches` leaves no event.
    pub async fn recall_again(
        &self,
        request: &Request,
        command: &RecallKeys,
    ) -> Result<Changed, CommandError> {
        let _alone = self.alone_if(command.tenant.is_operators()).await;
        let (changed, _) = self.recall(request, command).await?;
        Ok(changed)
    }
}
