//! A call: what the guest is told, what it answers, and the instance that is kept from one call to the next.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime_wasi::p2::bindings::CommandPre;

use super::bindings::oarlock::plugin::types::{self, ObjectRefParam};
use super::bindings::{Reconciler, ReconcilerPre};
use super::load::{Plugin, Program};
use super::output::Written;
use super::sandbox::{Guest, Sandbox};
use super::{Description, Outcome};
use crate::object::{Kind, Object, ObjectKey};

/// What a guest is told.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The kind of the object.
    pub kind: &'a Kind,
    /// Which object.
    pub key: &'a ObjectKey,
    /// The object as it is now. None: it is gone.
    pub object: Option<&'a Object>,
    /// How many calls for this object have failed since the last one that did not.
    pub attempt: u32,
    /// Names the call in the log.
    pub id: ReconcileId,
}

/// Names a call in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcileId(pub u64);

impl fmt::Display for ReconcileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Answer {
    /// What the guest answered, or why it did not.
    pub result: Result<Outcome, CallError>,
    /// What it printed.
    pub stdout: Written,
    /// What it wrote to stderr.
    pub stderr: Written,
    /// How long it took, with the making of the instance where there was none.
    pub took: Duration,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallError {
    /// The guest answered that it is to be tried again.
    #[error("{0}")]
    Retry(String),
    /// The guest answered that trying again does not help.
    #[error("{0}")]
    Terminal(String),
    /// A new instance refused to start.
    #[error("describe answered: {0}")]
    Describe(String),
    /// The guest ended itself. WASI 0.2 tells no more of its exit code than whether it is 0.
    #[error("it exited {}", if *.0 == 0 { "instead of answering" } else { "with an error code" })]
    Exit(i32),
    /// The guest, or the start of its instance, trapped.
    #[error("it trapped: {0}")]
    Trap(String),
    /// The guest ran for too long.
    #[error("it ran for more than the {} of processor time that a call may take (--call-cpu)", humantime::format_duration(*.0))]
    CpuTime(Duration),
    /// The call took too long.
    #[error("it took more than the {} that a call may take (--call-wall)", humantime::format_duration(*.0))]
    WallTime(Duration),
    /// The guest trapped after it was refused memory.
    #[error("it needs more than the {} MiB of memory that a plugin may use (--memory)", .0 >> 20)]
    Memory(usize),
}

impl CallError {
    /// Whether the call is to be tried again before the object changes.
    pub fn is_retried(&self) -> bool {
        !matches!(self, Self::Terminal(_))
    }
}

/// Calls a plugin, and keeps its instance from call to call for as long as the plugin is the same and answers.
#[derive(Default)]
pub struct Caller {
    kept: Option<Instance>,
}

impl Caller {
    /// Has the plugin reconcile one object.
    ///
    /// If the future is dropped before it is done, the instance is gone, and the next call makes a new one.
    pub async fn reconcile(&mut self, plugin: &Arc<Plugin>, request: Request<'_>) -> Answer {
        let start = Instant::now();
        let kept = self.kept.take().filter(|instance| Arc::ptr_eq(&instance.plugin, plugin));
        let mut instance = kept.unwrap_or_else(|| Instance::new(plugin, request));
        let result = instance.reconcile(request).await;
        let (stdout, stderr) = (instance.sandbox.stdout.take(), instance.sandbox.stderr.take());
        self.kept = Some(instance).filter(|instance| instance.reconciler.is_some());
        Answer { result, stdout, stderr, took: start.elapsed() }
    }
}

struct Instance {
    plugin: Arc<Plugin>,
    sandbox: Sandbox,
    /// None: it is not started, or no longer in a state to be called, or a command, which is called only once.
    reconciler: Option<Reconciler>,
}

impl Instance {
    fn new(plugin: &Arc<Plugin>, request: Request<'_>) -> Self {
        let sandbox = match &plugin.program {
            Program::Reconciler(_) => plugin.sandbox(&[&plugin.name], ""),
            Program::Command(_) => {
                let call = if request.object.is_some() { "reconcile" } else { "gone" };
                let Request { kind, key, .. } = request;
                let namespace = key.namespace().unwrap_or_default();
                let arguments = [&*plugin.name, call, &kind.api_version, &kind.kind, namespace, key.name()];
                plugin.sandbox(&arguments, request.object.map_or("", |object| &object.json))
            }
        };
        Self { plugin: Arc::clone(plugin), sandbox, reconciler: None }
    }

    async fn reconcile(&mut self, request: Request<'_>) -> Result<Outcome, CallError> {
        self.sandbox.store.data_mut().call = Some((request.key.clone(), request.id));
        match &self.plugin.program {
            Program::Command(pre) => run(&mut self.sandbox, pre).await,
            Program::Reconciler(pre) => {
                let reconciler = match self.reconciler.take() {
                    Some(reconciler) => reconciler,
                    None => start(&mut self.sandbox, pre).await?.0,
                };
                let call = async |store: &mut _| reconciler.call_reconcile(store, request.into()).await;
                let answer = self.sandbox.run(call).await?;
                self.reconciler = Some(reconciler);
                answer.map_err(Into::into)
            }
        }
    }
}

/// Makes an instance of a reconciler and has it describe itself, which is where it takes in its settings.
pub(super) async fn start(
    sandbox: &mut Sandbox,
    pre: &ReconcilerPre<Guest>,
) -> Result<(Reconciler, Description), CallError> {
    let reconciler = sandbox.run(async |store| pre.instantiate_async(store).await).await?;
    let description = sandbox.run(async |store| reconciler.call_describe(store, None).await).await?;
    Ok((reconciler, description.map_err(CallError::Describe)?))
}

/// Runs a command from its start to its end.
async fn run(sandbox: &mut Sandbox, pre: &CommandPre<Guest>) -> Result<Outcome, CallError> {
    let call = async |store: &mut _| {
        let command = pre.instantiate_async(&mut *store).await?;
        command.wasi_cli_run().call_run(store).await
    };
    match sandbox.run(call).await {
        Ok(Ok(())) | Err(CallError::Exit(0)) => {
            Ok(Outcome { actions: Vec::new(), children: None, requeue_after_ms: None })
        }
        Ok(Err(())) => Err(CallError::Exit(1)),
        Err(error) => Err(error),
    }
}

impl<'a> From<Request<'a>> for types::Request<'a> {
    fn from(request: Request<'a>) -> Self {
        Self {
            target: ObjectRefParam {
                api_version: &request.kind.api_version,
                kind: &request.kind.kind,
                namespace: request.key.namespace(),
                name: request.key.name(),
            },
            object: request.object.map(|object| &*object.json),
            attempt: request.attempt,
            deleting: request.object.is_some_and(|object| object.deleting),
        }
    }
}

impl From<types::Failure> for CallError {
    fn from(failure: types::Failure) -> Self {
        match failure {
            types::Failure::Retry(reason) => Self::Retry(reason),
            types::Failure::Terminal(reason) => Self::Terminal(reason),
        }
    }
}
