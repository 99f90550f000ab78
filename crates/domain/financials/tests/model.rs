//! Whatever is done at the desk, the books add up.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_financials::{
    ChargeView, FinancialsError, Payment, PaymentMethod, PaymentView, Refund, allocate, take_back,
    testing::{
        Books, charge,
        model::{Model, Step},
        money, text,
    },
};
use infirmary_kernel::testing::fresh_id;
use proptest::prelude::*;

fn step() -> impl Strategy<Value = Step> {
    let pence = prop_oneof![4 => 1..500_i64, 1 => -2..3_i64];
    let refunded = prop_oneof![4 => 1..200_i64, 1 => -2..3_i64];
    prop_oneof![
        3 => (0..3_usize, pence.clone()).prop_map(|(patient, pence)| Step::Charge { patient, pence }),
        1 => any::<usize>().prop_map(|charge| Step::Void { charge }),
        3 => (0..3_usize, pence.clone()).prop_map(|(patient, pence)| Step::Pay { patient, pence }),
        2 => (any::<usize>(), pence).prop_map(|(charge, pence)| Step::PayNamed { charge, pence }),
        3 => (any::<usize>(), refunded).prop_map(|(payment, pence)| Step::Refund { payment, pence }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_books_agree_with_the_model_after_every_step(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let books = Books::in_memory();
            let mut model = Model::of(&books);
            for step in steps {
                model.take(step).await;
            }
            model.compare_records().await;
        });
    }

    #[test]
    fn an_amount_lies_on_the_oldest_charges_and_comes_back_from_the_newest(
        amounts in prop::collection::vec((0..1_000_i64, 0..1_000_i64), 0..20),
        asked in 1..20_000_i64,
        given_back in prop::collection::vec(1..20_000_i64, 0..6),
    ) {
        let patient = fresh_id();
        let views: Vec<ChargeView> = amounts
            .iter()
            .map(|(amount, paid)| ChargeView {
                paid: money(*paid.min(amount)),
                ..ChargeView::unpaid(charge(patient, *amount))
            })
            .collect();
        let owed: i64 = views.iter().map(|view| view.outstanding().amount_minor()).sum();
        let allocations = match allocate(money(asked), &views) {
            Ok(allocations) => allocations,
            Err(FinancialsError::MoreThanOwed { owed: told }) => {
                prop_assert_eq!(told, money(owed));
                prop_assert!(asked > owed);
                return Ok(());
            }
            Err(other) => panic!("{other:?}"),
        };
        let parts: i64 = allocations.iter().map(|part| part.amount.amount_minor()).sum();
        prop_assert_eq!(parts, asked);
        let open: Vec<&ChargeView> = views.iter().filter(|view| view.outstanding().is_positive()).collect();
        for (index, (part, view)) in allocations.iter().zip(&open).enumerate() {
            prop_assert_eq!(part.charge, view.charge.id);
            prop_assert!(part.amount.is_positive());
            prop_assert!(index + 1 == allocations.len() || part.amount == view.outstanding(), "all but the last whole");
        }

        let payment = Payment {
            id: fresh_id(),
            patient,
            amount: money(asked),
            method: PaymentMethod::Cash,
            received_at: charge(patient, 0).charged_at,
            received_by: fresh_id(),
            allocations,
        };
        let mut view = PaymentView { payment, refunds: Vec::new() };
        for amount in given_back {
            let left = view.refundable();
            match take_back(money(amount), &view) {
                Ok(allocations) => view.refunds.push(Refund {
                    id: fresh_id(),
                    payment: view.payment.id,
                    amount: money(amount),
                    reason: text("paid twice"),
                    refunded_at: view.payment.received_at,
                    refunded_by: fresh_id(),
                    allocations,
                }),
                Err(FinancialsError::MoreThanRefundable { left: told }) => {
                    prop_assert_eq!(told, left);
                    prop_assert!(money(amount).amount_minor() > left.amount_minor());
                }
                Err(other) => panic!("{other:?}"),
            }
            let remaining: Vec<_> = view.remaining().collect();
            prop_assert!(remaining.iter().all(|part| part.amount.amount_minor() >= 0));
            let touched = remaining.iter().zip(&view.payment.allocations).skip_while(|(left, of)| left.amount == of.amount);
            prop_assert!(touched.skip(1).all(|(left, _)| left.amount == money(0)), "newest first");
        }
    }
}
