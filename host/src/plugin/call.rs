//! A call, and the instance that is kept from one call to the next.

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::bindings::oarlock::plugin::types::{Description, Outcome};
use super::bindings::{Reconciler, ReconcilerPre};
use super::error::CallError;
use super::program::{Plugin, Program};
use super::request::Request;
use super::sandbox::{Call, Guest, Sandbox, Usage};
use crate::grant::Isolation;
use crate::quota::Volume;

/// What came of a call.
#[derive(Debug)]
pub struct Answer {
    /// What the guest answered, or why it did not.
    pub result: Result<Outcome, CallError>,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
    /// How much it wrote of what it may.
    pub written: Volume,
    /// How many bytes more it wanted to write.
    pub dropped: usize,
    /// What it used.
    pub usage: Usage,
}

impl Answer {
    /// It was not even called.
    fn of(error: CallError) -> Self {
        let (stdout, stderr) = (Vec::new(), Vec::new());
        Self { result: Err(error), stdout, stderr, written: Volume::default(), dropped: 0, usage: Usage::default() }
    }
}

/// Calls a plugin, and keeps its instance from call to call for as long as the plugin is the same and answers, unless its
/// grant says otherwise.
#[derive(Default)]
pub struct Caller {
    kept: Option<Instance>,
}

impl Caller {
    /// Has the plugin reconcile one object. Of what it writes beyond `may_write`, only the bytes are counted.
    ///
    /// If the future is dropped before it is done, the instance is gone, and the next call makes a new one.
    pub async fn reconcile(&mut self, plugin: &Arc<Plugin>, request: Request<'_>, may_write: Volume) -> Answer {
        let since = Instant::now();
        let kept = self.kept.take().filter(|instance| Arc::ptr_eq(&instance.plugin, plugin));
        let instance = match kept {
            Some(instance) => Ok(instance),
            None => Instance::new(plugin, request).await,
        };
        let mut instance = match instance {
            Ok(instance) => instance,
            Err(error) => return Answer::of(error),
        };
        let result = instance.reconcile(since, request, may_write).await;
        let (stdout, stderr) = (instance.sandbox.stdout.take(), instance.sandbox.stderr.take());
        let log = &instance.sandbox.store.data().log;
        let written = Volume { output: stdout.cost, log: stderr.cost + log.cost };
        let dropped = stdout.dropped + stderr.dropped + log.dropped;
        let usage = instance.sandbox.usage();
        let is_kept = plugin.grant.isolation == Isolation::Kept && instance.reconciler.is_some();
        self.kept = is_kept.then_some(instance);
        Answer { result, stdout: stdout.bytes, stderr: stderr.bytes, written, dropped, usage }
    }

    /// How many bytes of memory the instance has that is kept, if there is one.
    pub fn keeps(&self) -> Option<usize> {
        self.kept.as_ref().map(|instance| instance.sandbox.usage().memory)
    }

    /// Lets the instance go, and its memory with it. The next call makes a new one.
    pub fn rest(&mut self) {
        self.kept = None;
    }
}

struct Instance {
    plugin: Arc<Plugin>,
    program: Arc<Program>,
    sandbox: Sandbox,
    /// None: it is not started, or no longer in a state to be called, or a command, which is called only once.
    reconciler: Option<Reconciler>,
}

impl Instance {
    async fn new(plugin: &Arc<Plugin>, request: Request<'_>) -> Result<Self, CallError> {
        let program = plugin.program()?;
        let sandbox = match &*program {
            Program::Reconciler(_) => plugin.sandbox(&[&plugin.name], String::new).await?,
            Program::Command(_) => {
                let call = if request.object.is_some() { "reconcile" } else { "gone" };
                let (gvk, key) = (&request.target.gvk, &request.target.key);
                let namespace = key.namespace().unwrap_or_default();
                let arguments = [&*plugin.name, call, gvk.api_version(), gvk.kind(), namespace, key.name()];
                plugin.sandbox(&arguments, || request.json().unwrap_or_default().into_owned()).await?
            }
        };
        Ok(Self { plugin: Arc::clone(plugin), program, sandbox, reconciler: None })
    }

    async fn reconcile(
        &mut self,
        since: Instant,
        request: Request<'_>,
        may_write: Volume,
    ) -> Result<Outcome, CallError> {
        let (target, id, reader) = (request.target.clone(), request.id, Arc::clone(request.reader));
        self.sandbox.begin(since, Some(Call { target, id, reader }), may_write);
        match &*self.program {
            Program::Command(pre) => run(&mut self.sandbox, pre).await,
            Program::Reconciler(pre) => {
                let reconciler = match self.reconciler.take() {
                    Some(reconciler) => reconciler,
                    None => start(&mut self.sandbox, pre, self.plugin.grant.settings.as_deref()).await?.0,
                };
                let json = request.json();
                let told = request.told(json.as_deref());
                let call = async |store: &mut _| reconciler.call_reconcile(store, told).await;
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
    settings: Option<&str>,
) -> Result<(Reconciler, Description), CallError> {
    let reconciler = sandbox.run(async |store| pre.instantiate_async(store).await).await?;
    let description = sandbox.run(async |store| reconciler.call_describe(store, settings).await).await?;
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
