"""Corrections on the page in a real browser: clicks, boxes, undo; from nothing and from the answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from browser import Browser
from fakes import FakeSegmenter
from label_page import click_on, drawn, middle, shows
from labelling import picture, serving, write_goal

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.geometry import Box, View
from rsagent_ros.agent.mask import bounding_box, iou
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.records.reader import read_record


def test_a_correction_by_clicks_is_the_thing_that_was_meant(browser: Browser, records: Path) -> None:
    image, (thing, other, *_) = picture(1)
    path = write_goal(records, image=image)
    with serving(records, ClassicalSegmenter()) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        assert page.run("document.querySelector('[data-judgement=correct]').disabled")
        click_on(page, *middle(thing.mask))
        drawn(page)
        click_on(page, *middle(other.mask), button="right")
        page.wait("document.querySelectorAll('#clicks .negative:not(.rim)').length === 1")
        drawn(page)
        page.key("s")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    (verdict,) = read_record(path).verdicts
    assert verdict.mask is not None
    assert iou(verdict.mask, thing.mask) > 0.9
    assert not verdict.mask[other.mask].any()


def test_several_masks_are_one_verdict_with_a_name(browser: Browser, records: Path) -> None:
    image, (thing, other, *_) = picture(1)
    path = write_goal(records, image=image)
    with serving(records, ClassicalSegmenter()) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        page.click("#annotator")
        page.type("Ada")
        page.key("Escape")
        assert page.run("document.querySelector('#another').disabled")
        click_on(page, *middle(thing.mask))
        drawn(page)
        page.key("d")
        page.wait("document.querySelector('#said').textContent.startsWith('mask 2')")
        page.key("u")
        page.wait("document.querySelectorAll('#clicks .positive:not(.rim)').length === 1")
        page.click("#another")
        click_on(page, *middle(other.mask))
        drawn(page)
        page.wait("document.querySelectorAll('#drawn text').length === 2")
        page.go("about:blank")
        page.go(server.address.url)  # what was drawn and the name outlive the page
        shows(page, "the thing")
        page.wait("document.querySelectorAll('#drawn text').length === 2")
        assert page.run("document.querySelector('#annotator').value") == "Ada"
        page.wait("!document.querySelector('[data-judgement=correct]').disabled")
        page.key("s")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.wait("document.querySelector('.verdicts')?.textContent.includes('corrected (2 masks) by Ada')")
        assert page.complaints() == []
        page.close()
    (verdict,) = read_record(path).verdicts
    assert verdict.annotator == "Ada"
    assert [iou(mask, drawn.mask) > 0.9 for mask, drawn in zip(verdict.instances, (thing, other), strict=True)] == [
        True,
        True,
    ]


def test_a_correction_can_start_from_the_answer(browser: Browser, records: Path) -> None:
    image, (thing, other, *_) = picture(1)
    view = View.whole(320, 240)
    boxes = []
    for mask in (thing.mask, other.mask):
        box = bounding_box(mask)
        assert box is not None
        boxes.append(view.box_to_view(box))
    both = [f"<think>x</think>{render(Segment(Box(*map(round, (b.x0, b.y0, b.x1, b.y1)))))}" for b in boxes]
    path = write_goal(records, image=image, script=(*both, f"<think>x</think>{render(Finish((1, 2)))}"))
    with serving(records, ClassicalSegmenter()) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        click_on(page, *middle(other.mask), button="right")  # the first thing said is what does not belong there
        drawn(page)
        assert page.run("document.querySelector('#start').ariaPressed") == "true"
        page.click("[data-judgement=correct]")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    (verdict,) = read_record(path).verdicts
    assert verdict.mask is not None
    assert verdict.mask[thing.mask].mean() > 0.9
    assert not verdict.mask[other.mask].any()


def test_clicks_boxes_undo_and_clear(browser: Browser, records: Path) -> None:
    path = write_goal(records)
    segmenter = FakeSegmenter()
    inner = "[...document.querySelectorAll('#clicks > :not(.rim):not(.under)')]"
    marks = f"{inner}.map((one) => one.getAttribute('class')).join()"
    with serving(records, segmenter) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        click_on(page, 20, 30, to=(100, 90))
        page.wait(f"{marks} === 'box'")
        click_on(page, 60, 60)
        page.wait(f"{marks} === 'box,positive'")
        page.key("t")
        click_on(page, 40, 40)
        page.wait(f"{marks} === 'box,negative,positive'")
        drawn(page)
        prompt = segmenter.prompts[-1]
        assert prompt.box is not None
        assert np.allclose(prompt.box, [20, 30, 100, 90], atol=0.5)
        assert np.allclose(prompt.point_coords, [(60, 60), (40, 40)], atol=0.5)
        page.key("u")
        page.wait(f"{marks} === 'box,positive'")
        page.key("c")
        page.wait(f"{marks} === '' && document.querySelector('[data-judgement=correct]').disabled")
        page.key("u")
        page.wait(f"{marks} === 'box,positive'")
        drawn(page)
        page.key("e")
        page.wait("document.querySelector('#start').ariaPressed === 'true'")
        drawn(page)
        assert segmenter.prompts[-1].mask_input is not None
        page.key("s")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    assert read_record(path).verdicts[0].mask is not None


def test_closer_a_click_is_where_it_is_seen(browser: Browser, records: Path) -> None:
    write_goal(records)
    segmenter = FakeSegmenter()
    with serving(records, segmenter) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        x0, y0, x1, y1 = page.box("#frame")
        x, y = x0 + (x1 - x0) / 4, y0 + (y1 - y0) / 2
        page.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-500)
        page.wait("document.querySelector('#picture').viewBox.baseVal.width < 120")
        page.click_at(x, y)
        drawn(page)
        assert np.allclose(segmenter.prompts[-1].point_coords, [(80, 120)], atol=1.0)
        before = page.run("document.querySelector('#picture').viewBox.baseVal.x")
        page.click_at(x, y, "right", to=(x + 60, y))
        page.wait(f"document.querySelector('#picture').viewBox.baseVal.x < {before - 3}")
        page.key("f")
        page.wait("document.querySelector('#picture').viewBox.baseVal.width === 320")
        assert page.run("document.querySelectorAll('#clicks .negative').length") == 0
        page.close()


def test_a_segmenter_that_fails_says_why_on_the_page(browser: Browser, records: Path) -> None:
    path = write_goal(records)
    with serving(records, FakeSegmenter("out_of_memory")) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        click_on(page, 60, 60)
        page.wait("document.querySelector('#said.error')?.textContent.includes('memory is full')")
        assert page.run("document.querySelector('[data-judgement=correct]').disabled")
        page.key("r")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    assert len(read_record(path).verdicts) == 1
