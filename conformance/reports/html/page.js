"use strict";
// Filters by the address (#state=fail,error&find=spindle), so that a filtered page can be linked; the page is whole
// without this script.
(() => {
  const filter = document.querySelector(".filter");
  const find = document.getElementById("find");
  const checks = [...document.querySelectorAll(".check")];
  const words = new Map(checks.map((one) => [one, one.querySelector("summary").textContent.toLowerCase()]));

  const wanted = () => {
    const hash = location.hash.slice(1);
    return /^(state|find)=/.test(hash) ? new URLSearchParams(hash) : null;
  };

  const show = () => {
    const asked = wanted();
    if (asked === null) {
      const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      for (let one = place; one; one = one.parentElement) {
        one.hidden = false;
        if (one.tagName === "DETAILS") one.open = true;
      }
      if (place) place.scrollIntoView();
      return;
    }
    const states = (asked.get("state") || "").split(",").filter(Boolean);
    const text = (asked.get("find") || "").toLowerCase();
    let shown = 0;
    for (const one of checks) {
      one.hidden = (states.length > 0 && !states.includes(one.dataset.state)) || !words.get(one).includes(text);
      shown += one.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll(".group")) {
      group.hidden = !group.querySelector(".check:not([hidden])");
    }
    for (const link of document.querySelectorAll("[data-filter]")) {
      const chosen = link.dataset.filter === states.join(",");
      link.classList.toggle("chosen", chosen);
      link.setAttribute("aria-current", String(chosen));
    }
    document.getElementById("none").hidden = shown > 0;
    document.documentElement.dataset.shown = String(shown);
  };

  if (filter) {
    filter.hidden = false;
    find.value = wanted()?.get("find") || "";
    find.addEventListener("input", () => {
      const states = wanted()?.get("state") || "";
      history.replaceState(null, "", `#${new URLSearchParams({ state: states, find: find.value })}`);
      show();
    });
    document.getElementById("unfold").addEventListener("click", () => {
      const all = checks.filter((one) => !one.hidden);
      const open = all.some((one) => !one.open);
      for (const one of all) one.open = open;
    });
    for (const tile of document.querySelectorAll(".tile")) {
      tile.addEventListener("click", () => document.getElementById("results").scrollIntoView());
    }
    addEventListener("hashchange", show);
    addEventListener("beforeprint", () => {
      for (const one of checks) one.open = one.open || !["pass", "not-claimed", "informational"].includes(one.dataset.state);
    });
    show();
  }
})();
