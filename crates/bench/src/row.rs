//! A row: what is measured of ours and of its floor, and how.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::rush::Failure;
use crate::site::Site;

/// What a turn came to: one figure for each of the row's measures, in their order.
pub(crate) type Figures = Vec<f64>;

/// A row's two sides, ready to take turns. Whatever a side finds wrong fails the row: what is measured must be what the row
/// says.
#[async_trait]
pub(crate) trait Contest: Send {
    /// A turn of ours.
    async fn ours(&mut self) -> Result<Figures, Failure>;

    /// A turn of what nobody could do with less; none where there is no such thing.
    async fn floor(&mut self) -> Result<Option<Figures>, Failure>;

    /// Stops what was started.
    async fn end(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

impl Better {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Less => "less",
        }
    }
}

/// One figure of a row. It is shown as a row of its own.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    /// The row's name, where it has several measures with its own behind it.
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

/// What has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// NATS with so many replicas.
    Nats(usize),
}

/// Makes the row's two sides ready.
type Prepare = Box<dyn Fn(Arc<Site>) -> BoxFuture<'static, Result<Box<dyn Contest>, Failure>> + Send + Sync>;

/// A row and how to measure it.
pub(crate) struct Row {
    pub(crate) measures: Vec<Measure>,
    /// What it measures, and against what.
    pub(crate) about: String,
    pub(crate) needs: Needs,
    /// The most turns that say something, where one changes what the next would measure.
    pub(crate) most_turns: usize,
    pub(crate) prepare: Prepare,
}

impl Row {
    /// A row with one measure.
    pub(crate) fn new<F>(
        name: impl Into<String>,
        (unit, better): (&'static str, Better),
        about: impl Into<String>,
        prepare: impl Fn(Arc<Site>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Box<dyn Contest>, Failure>> + Send + 'static,
    {
        Self {
            measures: vec![Measure { name: name.into(), unit, better }],
            about: about.into(),
            needs: Needs::Nothing,
            most_turns: usize::MAX,
            prepare: Box::new(move |site| Box::pin(prepare(site))),
        }
    }

    /// The same with other measures: endings of its name, units, what is better.
    pub(crate) fn measuring(mut self, measures: &[(&str, &'static str, Better)]) -> Self {
        let name = self.name().to_owned();
        let measure = |&(ending, unit, better): &(&str, _, _)| {
            let name = if ending.is_empty() { name.clone() } else { format!("{name}-{ending}") };
            Measure { name, unit, better }
        };
        self.measures = measures.iter().map(measure).collect();
        self
    }

    pub(crate) fn needing(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    pub(crate) fn at_most(self, most_turns: usize) -> Self {
        Self { most_turns, ..self }
    }

    /// Its first measure's name, which is its own.
    pub(crate) fn name(&self) -> &str {
        &self.measures[0].name
    }
}
