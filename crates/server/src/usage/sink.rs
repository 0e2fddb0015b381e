//! Where reports of usage go: into the record, or into the stream that all records follow.

use eventlog::jetstream::{Keeping, UsageStream};
use futures_util::future::join_all;
use projection::usage::UsageRecord;
use wire::UsageReport;

/// Where reports go. A clone is the same place.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    /// Straight into the record: no other server verifies on this log.
    Record(UsageRecord),
    /// To all servers, this one included.
    Stream(UsageStream),
}

/// A report on its way.
pub(crate) struct Sent {
    pub(crate) report: UsageReport,
    keeping: Keeping,
}

impl Sent {
    /// What a run says of itself.
    pub(crate) fn by_itself(report: UsageReport) -> Self {
        let keeping = if report.is_numbered() { Keeping::Stays } else { Keeping::Replaces };
        Self { report, keeping }
    }

    /// What this server says of a run that may say nothing of itself.
    pub(crate) const fn by_this_server(report: UsageReport) -> Self {
        Self { report, keeping: Keeping::Beside }
    }

    /// The same report has the same id. Two without a number of their own may differ in nothing but how far they go.
    fn id(&self) -> String {
        let UsageReport { run, sequence, to, max_staleness_ms, .. } = &self.report;
        match self.keeping {
            Keeping::Stays => format!("{run}:{sequence}"),
            Keeping::Replaces => format!("{run}:{sequence}:{}", to.as_millis()),
            Keeping::Beside => format!("{run}:{}:{max_staleness_ms}:said", to.as_millis()),
        }
    }
}

impl Sink {
    /// Durable on return.
    pub(crate) async fn send(&self, sent: Sent) -> Result<(), String> {
        self.send_all(vec![sent]).await.pop().unwrap_or(Ok(()))
    }

    /// Each for itself, in one write where that is possible.
    pub(crate) async fn send_all(&self, all: Vec<Sent>) -> Vec<Result<(), String>> {
        match self {
            Self::Record(record) => {
                let count = all.len();
                let reports = all.into_iter().map(|sent| sent.report).collect();
                let taken = record.take_in(reports).await.map_err(|error| chain(&error));
                vec![taken; count]
            }
            Self::Stream(stream) => {
                let publish = |sent: Sent| async move {
                    let (run, id) = (sent.report.run.to_string(), sent.id());
                    let published = stream.publish(&run, &id, sent.keeping, sent.report.encode()).await;
                    published.map_err(|error| error.reason)
                };
                join_all(all.into_iter().map(publish)).await
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}
