//! An endpoint whose memory is counted, and whose host can stop reading its sockets.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use allocation_counter::measure;
use switchboard::connect::Endpoint;
use switchboard::hub::News;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest};
use switchboard::machine::{Cx, Fill, Input, Machine, Output};

/// What is allocated inside its calls is counted; events that it gives away stay counted: they are small.
pub(super) struct Metered {
    endpoint: Endpoint,
    held: i64,
    peak: i64,
    deaf: bool,
    /// Open ports, and whether the endpoint has paused them.
    ports: BTreeMap<PortId, bool>,
    requests: VecDeque<(PortId, PortRequest)>,
}

impl Metered {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let (ports, requests) = (BTreeMap::new(), VecDeque::new());
        Self { endpoint, held: 0, peak: 0, deaf: false, ports, requests }
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) const fn held(&self) -> i64 {
        self.held
    }

    pub(super) const fn peak(&self) -> i64 {
        self.peak
    }

    pub(super) const fn forget_peak(&mut self) {
        self.peak = self.held;
    }

    pub(super) fn call<R>(&mut self, call: impl FnOnce(&mut Endpoint) -> R) -> R {
        let mut result = None;
        let info = measure(|| result = Some(call(&mut self.endpoint)));
        self.peak = self.peak.max(self.held + i64::try_from(info.bytes_max).unwrap());
        self.held += info.bytes_current;
        result.unwrap()
    }

    /// From now on its host reads nothing, or does again.
    pub(super) fn set_deaf(&mut self, deaf: bool) {
        self.deaf = deaf;
        let request = if deaf { PortRequest::Pause } else { PortRequest::Resume };
        let ports = self.ports.iter().filter(|(_, paused)| !**paused);
        self.requests.extend(ports.map(|(port, _)| (*port, request.clone())));
    }

    fn note(&mut self, port: PortId, change: &PortChange) {
        match change {
            PortChange::Opened { peer: Some(_), .. } => {
                self.ports.insert(port, false);
                if self.deaf {
                    self.requests.push_back((port, PortRequest::Pause));
                }
            }
            PortChange::Failed(_) | PortChange::Closed => self.forget(port),
            _ => {}
        }
    }

    fn forget(&mut self, port: PortId) {
        self.ports.remove(&port);
        self.requests.retain(|(asked, _)| *asked != port);
    }

    /// Whether a request of the endpoint goes out: while its host is deaf it may not change what is read.
    fn passes(&mut self, port: PortId, request: &PortRequest) -> bool {
        let paused = match request {
            PortRequest::Pause => true,
            PortRequest::Resume => false,
            PortRequest::Abort => {
                self.forget(port);
                return true;
            }
            _ => return true,
        };
        self.ports.entry(port).and_modify(|before| *before = paused);
        !self.deaf
    }
}

impl Machine for Metered {
    type Command = Infallible;
    type Event = News;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Infallible>) {
        if let Input::Port(port, change) = &input {
            self.note(*port, change);
        }
        self.call(|endpoint| endpoint.handle(cx, input));
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<News> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        loop {
            match self.call(|endpoint| endpoint.poll(cx)) {
                Output::Port(port, request) if !self.passes(port, &request) => {}
                output => return output,
            }
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.call(|endpoint| endpoint.fill(cx, port, buf))
    }
}
