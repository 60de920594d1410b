"""Plans as people read them."""

from __future__ import annotations

from lxcwrap.deploy.application import Order
from lxcwrap.deploy.plan import Action, Change, Item, Leftover, Plan
from lxcwrap.deploy.render import lines, summary

PLAN = Plan(
    "shop",
    7,
    items=(Item("network", "web1", "shop_front"), *(Item("image", f"web{number}", "shop:2") for number in range(1, 7))),
    changes=(
        Change(Action.CREATE, "db", 1, "web1"),
        Change(Action.REPLACE, "web", 1, "web1", "id1", reasons=("image a → b", "flags: + --init")),
        Change(Action.MOVE, "web", 12, "web3", "id2", "web2", Order.STOP_FIRST, reasons=("host web2: it is drained",)),
        Change(Action.START, "api", 1, "web1", "id3", reasons=("it is exited with 1",)),
        Change(Action.REMOVE, "web", 13, "web3", "id4", reasons=("12 of it are wanted",)),
    ),
    leftovers=(Leftover("web1", "id5", "shop-web-1-r6", "of an interrupted deployment"),),
    kept=4,
)


def test_a_plan_in_lines() -> None:
    assert "\n".join(lines(PLAN)) == (
        """\
+ network shop_front  create            web1
+ image shop:2        bring             web1, web2, web3, web4 and 2 more
+ db 1                create            web1
~ web 1               replace           web1
      image a → b
      flags: + --init
~ web 12              move, stop-first  web2 → web3
      host web2: it is drained
~ api 1               start             web1
      it is exited with 1
- web 13              remove            web3
      12 of it are wanted
- shop-web-1-r6       remove            web1
      of an interrupted deployment

1 to create, 1 to replace, 1 to move, 1 to start, 2 to remove, 4 unchanged"""
    )


def test_nothing_to_do() -> None:
    assert list(lines(Plan("shop", 1))) == ["0 unchanged"]
    assert list(lines(Plan("shop", 1, kept=3))) == ["3 unchanged"]


def test_problems_are_last_and_counted() -> None:
    assert list(lines(Plan("shop", 1, kept=3, problems=("no host for web 1", "more")))) == [
        "! no host for web 1",
        "! more",
        "3 unchanged, 2 problems",
    ]
    assert summary(Plan("shop", 1, problems=("one",))) == "0 unchanged, 1 problem"


def test_a_plan_survives_json() -> None:
    assert Plan.from_json(PLAN.to_json()) == PLAN
