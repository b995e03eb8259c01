//! The status page in a real browser.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod driver;
mod screenshots;

use driver::Browser;
use serde_json::json;
use support::host::{Host, Workplace};
use support::{plugins, probe, replica_set};

/// A host with its status page, and a browser that shows it.
fn open(place: &Workplace) -> (Host, Browser) {
    let host = place.run(&["--admin", "127.0.0.1:0"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    let browser = Browser::start();
    browser.open(&format!("http://{address}/"));
    (host, browser)
}

/// An expression for the row of a plugin.
fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#plugins tbody tr')].find(row => row.querySelector('th button')?.textContent === '{name}')"
    )
}

#[test]
fn the_page_shows_what_runs_and_each_change_without_being_loaded_again() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("web", &["main"]));
    let (_host, browser) = open(&place);
    browser.run("window.mark = 'loaded once'");
    browser.wait("row of the probe", &format!("{}?.innerText.includes('ready')", row("probe")));
    browser.wait("what is not wrong", "document.getElementById('attention').hidden");
    let digest = browser.run(&format!("return {}.querySelector('.code').textContent", row("probe")));

    place.plugin("probe", &plugins::probe(2));
    let is_other = format!("{}.querySelector('.code').textContent !== {digest}", row("probe"));
    browser.wait("other version", &is_other);

    place.plugin("probe", b"no wasm");
    browser.wait(
        "reason why the file is refused",
        "document.getElementById('problems').innerText.includes('its file is refused, version')",
    );
    browser.wait("state", &format!("{}.innerText.includes('file refused')", row("probe")));
    let first = "document.querySelector('#plugins tbody th button').textContent === 'probe'";
    browser.wait("broken plugin before all others", first);
    assert_eq!(browser.run("return document.title"), "(1) Oarlock");
    let said = browser.run("return document.querySelector('[role=status]').textContent");
    assert_eq!(said, "Needs attention: probe");

    place.object(&probe("bad", "terminal"));
    browser.wait(
        "object whose call failed",
        &format!("{}.innerText.includes('ReplicaSet default/bad never')", row("probe")),
    );
    place.plugin("probe", &plugins::probe(2));
    browser.wait("end of what is wrong", "document.getElementById('attention').hidden");
    assert_eq!(browser.run("return window.mark"), "loaded once");
    assert_eq!(browser.complaints(), [""; 0], "nothing that the page may not do, and no error");
}

#[test]
fn all_about_a_plugin_is_shown_on_demand_and_a_filter_finds_it() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    for name in ["one", "two", "three"] {
        place.plugin(name, &plugins::print_containers());
    }
    place.object(&probe("later", "later"));
    place.object(&probe("bad", "terminal"));
    let (_host, browser) = open(&place);
    browser.wait("rows of all plugins", "document.querySelectorAll('#plugins tbody th').length === 4");
    browser.run("const filter = document.getElementById('filter'); filter.value = 'PRO ready'; filter.dispatchEvent(new Event('input'))");
    browser.wait("count of what is found", "document.getElementById('plugins-count').textContent === '1 of 4'");
    browser.run(&format!("{}.querySelector('button').click()", row("probe")));
    let detail = "document.querySelector('#plugins tr.detail:not([hidden])')?.innerText";
    for part in
        ["Digest", "Last errors", "ReplicaSet default/bad", "Last reloads", "ReplicaSet default/later", "requeue in"]
    {
        browser.wait(part, &format!("{detail}.includes('{part}')"));
    }
    assert_eq!(browser.run(&format!("return {}.querySelector('button').ariaExpanded", row("probe"))), "true");
    browser.run(&format!("{}.querySelector('button').click()", row("probe")));
    browser.wait("end of the details", &format!("!({detail})"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn what_others_write_is_shown_as_text() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let mut object = probe("a", "say-failure");
    object["metadata"]["annotations"]["say"] = json!("<img src=x onerror=document.title='owned'><b id=owned>");
    place.object(&object);
    let (_host, browser) = open(&place);
    browser.wait("text", "document.body.innerText.includes('<b id=owned>')");
    assert_eq!(browser.run("return document.querySelectorAll('#owned, img[src=x]').length"), 0);
    let violations = "return new Promise(done => { document.addEventListener('securitypolicyviolation', event => done(event.violatedDirective)); \
                      const script = document.createElement('script'); script.textContent = 'document.title = 1'; document.body.append(script) })";
    assert_eq!(browser.run(violations), "script-src-elem", "and if it were not, it would not be obeyed");
}

#[test]
fn the_page_says_when_the_host_is_gone() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let (host, browser) = open(&place);
    browser.wait("row of the probe", &format!("{}?.innerText.includes('ready')", row("probe")));
    assert_eq!(browser.run("return document.getElementById('gone').hidden"), true);
    host.stop();
    browser.wait("word that it is gone", "!document.getElementById('gone').hidden");
    assert!(
        browser.text().contains("The host cannot be reached. What is shown is as it was at "),
        "{}",
        browser.text()
    );
    assert_eq!(browser.run("return document.querySelectorAll('#plugins tbody th').length"), 1, "it is still there");
}

#[test]
fn the_page_fits_any_screen_and_can_be_read_light_and_dark() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("broken-with-a-long-name", b"no wasm");
    place.object(&probe(&"long-name-".repeat(20), "terminal"));
    let mut object = probe("a", "say-failure");
    object["metadata"]["annotations"]["say"] = json!("word".repeat(200));
    place.object(&object);
    let (_host, browser) = open(&place);
    browser.wait("what is wrong", "document.getElementById('problems').innerText.includes('its file is refused')");
    browser.wait("errors", &format!("{}?.innerText.includes('2 failing')", row("probe")));
    browser.run(&format!("{}.querySelector('button').click()", row("probe")));
    browser
        .wait("details", "document.querySelector('#plugins tr.detail:not([hidden])')?.innerText.includes('wordword')");
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        for (width, height) in [(320, 640), (390, 844), (1024, 768), (1600, 900)] {
            browser.screen(width, height);
            let wide =
                browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wide, 0, "{width} pixels, {scheme}: as much is beyond the right edge");
        }
        assert_eq!(browser.run(HARD_TO_READ), json!([]), "{scheme}");
        backgrounds.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
}

/// The texts whose contrast is less than WCAG 2 wants for level AA.
const HARD_TO_READ: &str = r"
    const parse = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const background = (element) => {
        for (; element; element = element.parentElement) {
            const color = parse(getComputedStyle(element).backgroundColor);
            if (color.length === 3 || color[3] > 0) return color;
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || !element.checkVisibility() || element.closest('noscript')) continue;
        const [one, other] = [luminance(parse(getComputedStyle(element).color)), luminance(background(element))];
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (contrast < 4.5) found.push(`${node.data.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
    }
    return found";
