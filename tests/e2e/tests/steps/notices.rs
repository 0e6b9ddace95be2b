//! A notice is stored before it is acknowledged, whoever else brings the same one at the same moment.

use payhost_core::PaymentState;

use crate::rig::{Rig, account};

/// As many from addresses that no plugin lists as are kept about one payment.
const KEPT: i64 = 20;

/// Two hosts, or one, are sent the same message at once, about a payment of which enough is kept; the gateway is silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_on_disk_is_acknowledged_to_nobody() {
    let rig = Rig::start(false).await;
    let payment = rig.create().await;
    let back = rig.choose_as(&payment, account()).await;
    rig.come_back(&back).await;
    assert_eq!(rig.books(&payment).await.row.state, PaymentState::AwaitingDeposit);
    let number = rig.account_number(&payment).await;
    for part in 1..=KEPT {
        assert_eq!(rig.notify(&back.order_ref, part, &number).await.status, 200);
    }
    rig.always("inquiry", "drop_before", &back.order_ref).await;
    for at in 1.. {
        let mut stopped = rig.clock.stop_at(at);
        let slow = async {
            let answer = rig.notify(&back.order_ref, payment.total, &number).await;
            rig.clock.stop_nobody();
            answer.status
        };
        let fast = async {
            let stood = stopped.stands().await;
            let answer = rig.notify(&back.order_ref, payment.total, &number).await;
            drop(stopped);
            (answer.status, stood)
        };
        let (slow, (fast, stood)) = tokio::join!(slow, fast);
        assert_eq!(
            rig.notices_of(&payment, payment.total).await,
            0,
            "nothing of it is kept, stopped at {at}"
        );
        assert_eq!((slow, fast), (429, 429), "stopped at {at}");
        if !stood {
            assert!(at > 3, "only {at} places to stop at");
            break;
        }
    }
}
