//! The first operator: every node that starts wants one, and the log has one.

use std::sync::Arc;

use application::{Application, Bootstrapped, CommandError, FirstOperator};
use domain::{ParsedKey, TenantId};
use parking_lot::Mutex;

use super::model::Model;
use super::trace::Trace;
use super::truth::Truth;
use super::world::World;

/// What a node keeps in its operator's file: drawn once, asked with until it is answered.
pub(crate) type OperatorFile = Arc<Mutex<Option<Arc<FirstOperator>>>>;

struct Asking {
    node: usize,
    application: Arc<Application>,
    file: OperatorFile,
    model: Arc<Mutex<Model>>,
    truth: Arc<Mutex<Truth>>,
    trace: Arc<Mutex<Trace>>,
}

impl World {
    /// Lets a node do what it does at every start: make the first operator, or find out that there is one.
    pub(crate) fn bootstrap(&mut self, node: usize) {
        let member = &mut self.nodes[node];
        let Some(process) = &mut member.node.running else { return };
        let asking = Asking {
            node,
            application: Arc::clone(&process.application),
            file: Arc::clone(&member.operator),
            model: Arc::clone(&self.model),
            truth: Arc::clone(&self.truth),
            trace: Arc::clone(&self.trace),
        };
        process.commands.push(tokio::spawn(asking.ask()));
    }
}

impl Asking {
    async fn ask(self) {
        let kept = self.file.lock().clone();
        let first = kept.unwrap_or_else(|| Arc::new(self.application.draw_first_operator()));
        *self.file.lock() = Some(Arc::clone(&first));
        let Ok(key) = ParsedKey::parse(first.key.expose()) else { return };
        let answer = self.application.bootstrap(&key).await;
        self.trace.lock().line(&format!("node {}: bootstrap: {answer:?}", self.node));
        let mut model = self.model.lock();
        model.hear(&answer);
        if let Err(fault) = self.check(&key, &answer) {
            model.fault.get_or_insert(fault);
        }
        let answered = match answer {
            Ok(Bootstrapped::Ours) => "first operator",
            Ok(Bootstrapped::Another) => {
                // Worth nothing: the file goes.
                *self.file.lock() = None;
                "another's operator"
            }
            Err(_) => return,
        };
        model.seen.note(answered);
    }

    fn check(&self, key: &ParsedKey<'_>, answer: &Result<Bootstrapped, CommandError>) -> Result<(), String> {
        let truth = self.truth.lock();
        let operators: Vec<_> = truth.keys.iter().filter(|((tenant, _), _)| tenant.is_operators()).collect();
        let ours = operators
            .iter()
            .any(|((_, key_id), facts)| *key_id == key.key_id && facts.digest == key.digest());
        let right = match answer {
            Ok(_) if operators.len() != 1 || !truth.tenants.contains_key(&TenantId::operators()) => false,
            Ok(Bootstrapped::Ours) => ours,
            Ok(Bootstrapped::Another) => !ours,
            Err(CommandError::Unavailable { .. } | CommandError::OutcomeUnknown { .. }) => true,
            Err(_) => false,
        };
        if right {
            Ok(())
        } else {
            Err(format!("bootstrap was answered {answer:?} with {} operators", operators.len()))
        }
    }
}
