//! The customer grants access again: to Zoho and back, as a browser goes.

use tandem::adapter::zoho::transport::{Method, Request, Transport as _};
use tandem::flow::Error;
use tandem::flow::connect::{self, Begun, Finished};
use tandem::identifier::ConnectionId;
use tandem::port::Ports;
use tandem_memory::SimulatedZoho;

use super::Hand;
use crate::crew::Came;
use crate::dice::Dice;

/// Where the functions are; the simulated application in Zoho names it.
const PUBLIC_URL: &str = "http://tandem.test";

/// What the customer does there.
#[derive(Debug, Clone, Copy)]
struct Visit {
    organisation: u64,
    /// Whether they let Tandem in.
    accepts: bool,
    /// Whether the browser loads the page of their return once more.
    reloads: bool,
}

impl Hand<'_> {
    /// A customer goes to Zoho, and mostly says yes.
    pub(super) fn visits_zoho(&mut self, dice: &mut Dice) -> bool {
        let side = self.side(dice);
        let visit = Visit {
            organisation: self.at(side).story.organisation,
            accepts: !dice.once_in(6),
            reloads: dice.once_in(4),
        };
        self.visit(side, visit, dice);
        true
    }

    /// A customer says yes.
    pub(crate) fn grants(&mut self, side: usize, dice: &mut Dice) {
        let visit = Visit {
            organisation: self.at(side).story.organisation,
            accepts: true,
            reloads: false,
        };
        self.visit(side, visit, dice);
    }

    fn visit(&mut self, side: usize, visit: Visit, dice: &mut Dice) {
        let (ports, zoho) = (self.scene.ports(Self::off(dice)), self.scene.zoho.clone());
        let id = self.at(side).story.connection();
        let name = format!("the customer of {id} goes to Zoho");
        self.start(name, Some(side), async move {
            Came::Returned(there_and_back(&ports, &zoho, &id, visit).await)
        });
    }

    /// What follows from a customer's visit.
    pub(super) fn returned(&mut self, finished: &[Finished]) {
        if finished.is_empty() {
            self.reached.count("a customer did not come back from Zoho");
        }
        for finished in finished {
            self.reached.count(match finished {
                Finished::Connected(_) => "a customer connected again",
                Finished::Refused { .. } => "a customer was not connected",
            });
        }
    }
}

/// What came of it, each time that the browser came back.
async fn there_and_back(
    ports: &Ports,
    zoho: &SimulatedZoho,
    id: &ConnectionId,
    visit: Visit,
) -> Result<Vec<Finished>, Error> {
    let (url, browser) = match connect::begin(ports, PUBLIC_URL, id, None, None).await? {
        Begun::Redirect { url, browser } => (url, browser),
        Begun::Refused(refusal) => {
            let connection = Some(id.clone());
            return Ok(vec![Finished::Refused {
                connection,
                refusal,
            }]);
        }
        Begun::Choose { .. } => return Ok(Vec::new()),
    };
    let Some(query) = decide(zoho, &url, visit).await else {
        return Ok(Vec::new());
    };
    let mut finished = Vec::new();
    for _ in 0..=usize::from(visit.reloads) {
        let browser = Some(browser.expose());
        finished.push(connect::finish(ports, PUBLIC_URL, &query, browser).await?);
    }
    Ok(finished)
}

/// Says yes or no on Zoho's page of consent. The query with which Zoho sends the browser back; none: it shows an error.
async fn decide(zoho: &SimulatedZoho, url: &str, visit: Visit) -> Option<String> {
    let Visit {
        organisation,
        accepts,
        ..
    } = visit;
    let decision = if accepts { "accept" } else { "deny" };
    let (page, asked) = url.split_once('?')?;
    let request = Request {
        method: Method::Post,
        url: format!("{page}/decision?{asked}&decision={decision}&login={organisation}"),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let answer = zoho.send(request).await.ok()?;
    let mut headers = answer.headers.into_iter();
    let (_, back) = headers.find(|(name, _)| name.eq_ignore_ascii_case("location"))?;
    let query = back.split_once('?')?.1;
    Some(query.to_owned())
}
