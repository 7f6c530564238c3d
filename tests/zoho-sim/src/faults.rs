//! Failures on order.

use crate::request::Refusal;
use http::Method;
use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// When a failure strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Nothing happens but the failure.
    #[default]
    Before,
    /// The request has its effect, only the reply is lost.
    After,
}

/// A failure on order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Only requests of this method.
    pub method: Option<String>,
    /// Only paths that contain this text; a `*` stands for anything.
    pub path: String,
    /// Only this organisation.
    #[serde(deserialize_with = "crate::id::optional")]
    pub organisation: Option<u64>,
    /// How many requests to let pass first.
    pub skip: u32,
    /// How many requests to strike.
    pub times: u32,
    /// Before or after the effect.
    pub moment: Moment,
    /// The status of the reply; 0 drops the connection.
    pub status: u16,
    /// Zoho's code in the reply.
    pub code: Option<String>,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            method: None,
            path: "*".to_owned(),
            organisation: None,
            skip: 0,
            times: 1,
            moment: Moment::Before,
            status: 500,
            code: None,
        }
    }
}

impl Fault {
    fn applies(&self, method: &Method, path: &str, organisation: Option<u64>) -> bool {
        self.method
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && (self.organisation.is_none() || self.organisation == organisation)
            && matches(&self.path, path)
    }

    pub(crate) fn refusal(&self) -> Refusal {
        let code = self.code.as_deref().unwrap_or(match self.status {
            429 => "TOO_MANY_REQUESTS",
            401 => "INVALID_TOKEN",
            403 => "NO_PERMISSION",
            400..500 => "INVALID_REQUEST",
            _ => "INTERNAL_ERROR",
        });
        Refusal::new(self.status, code, "Internal Server Error")
    }
}

/// Whether the parts between the stars occur in the path in their order.
fn matches(pattern: &str, path: &str) -> bool {
    let mut rest = path;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = rest.get(at + part.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}

/// Refusing calls because there are too many.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Only this organisation.
    #[serde(deserialize_with = "crate::id::optional")]
    pub organisation: Option<u64>,
    /// How many calls to refuse.
    pub calls: Option<u32>,
    /// Until when to refuse calls.
    pub until: Option<Timestamp>,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u32>,
}

/// Failures at random, as a seed decides.
#[derive(Debug)]
pub struct Storm {
    random: StdRng,
    per_mille: u32,
    /// How often it struck.
    struck: u64,
}

/// What a throttled call is told, in seconds, when it storms.
const BREATH: u32 = 1;

impl Storm {
    fn strikes(&mut self) -> bool {
        let strikes = self.random.random_range(0..1_000) < self.per_mille;
        self.struck += u64::from(strikes);
        strikes
    }

    fn refusal(&mut self) -> Option<Refusal> {
        if self.random.random_range(0..4) != 0 || !self.strikes() {
            return None;
        }
        let mut refusal = too_many();
        refusal.retry_after = Some(BREATH);
        Some(refusal)
    }

    fn fault(&mut self) -> Option<Fault> {
        if !self.strikes() {
            return None;
        }
        let (kind, moment) = (
            self.random.random_range(0..3),
            match self.random.random() {
                true => Moment::Before,
                false => Moment::After,
            },
        );
        let status = match kind {
            0 => 0,
            1 => 500,
            _ => 503,
        };
        Some(Fault {
            status,
            moment,
            ..Fault::default()
        })
    }
}

/// All failures on order.
#[derive(Debug, Default)]
pub struct Faults {
    faults: Vec<Fault>,
    throttles: Vec<Throttle>,
    storm: Option<Storm>,
    /// How long every answer takes, in milliseconds. Only the server waits.
    pub delay_ms: u64,
}

impl Faults {
    /// Orders a failure.
    pub fn fail(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Orders refusals.
    pub fn throttle(&mut self, throttle: Throttle) {
        self.throttles.push(throttle);
    }

    /// Lets so many of a thousand requests fail, before or after their effect, and a quarter as many be refused because there were too many.
    pub fn storm(&mut self, seed: u64, per_mille: u32) {
        self.storm = Some(Storm {
            random: StdRng::seed_from_u64(seed),
            per_mille,
            struck: 0,
        });
    }

    /// How often the storm struck so far.
    pub fn struck(&self) -> u64 {
        self.storm.as_ref().map_or(0, |storm| storm.struck)
    }

    /// Takes all orders back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is still on order.
    pub fn pending(&self) -> (&[Fault], &[Throttle]) {
        (&self.faults, &self.throttles)
    }

    pub(crate) fn strike(
        &mut self,
        method: &Method,
        path: &str,
        organisation: Option<u64>,
    ) -> Option<Fault> {
        let ordered = self
            .faults
            .iter()
            .position(|fault| fault.applies(method, path, organisation));
        let Some(at) = ordered else {
            return self.storm.as_mut().and_then(Storm::fault);
        };
        let fault = self.faults.get_mut(at)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let struck = fault.clone();
        if struck.times == 0 {
            self.faults.remove(at);
        }
        Some(struck)
    }

    pub(crate) fn refuse(&mut self, organisation: u64, now: Timestamp) -> Option<Refusal> {
        self.throttles.retain(|throttle| {
            throttle.until.is_none_or(|until| now < until) && throttle.calls != Some(0)
        });
        let throttle = self.throttles.iter_mut().find(|throttle| {
            throttle.organisation.is_none() || throttle.organisation == Some(organisation)
        });
        let Some(throttle) = throttle else {
            return self.storm.as_mut()?.refusal();
        };
        if let Some(calls) = &mut throttle.calls {
            *calls = calls.saturating_sub(1);
        }
        let mut refusal = too_many();
        refusal.retry_after = throttle.retry_after;
        Some(refusal)
    }
}

fn too_many() -> Refusal {
    Refusal::too_many("You have crossed the maximum number of API calls allowed")
}
