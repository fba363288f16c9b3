"use strict";
const card = document.getElementById("card");
let lit = [];
document.addEventListener("mousemove", (event) => {
  const on = event.target.closest && event.target.closest("[data-t]");
  lit.forEach((element) => element.classList.remove("on"));
  lit = [];
  card.style.display = on ? "block" : "none";
  if (!on) return;
  const arrow = on.dataset.a ? document.getElementById("a" + on.dataset.a) : null;
  const mine = on.id ? document.querySelectorAll('[data-a="' + on.id.slice(1) + '"]') : [];
  lit = [...(arrow ? [arrow] : []), ...mine];
  lit.forEach((element) => element.classList.add("on"));
  card.textContent = (arrow || on).dataset.t;
  const { offsetWidth: wide, offsetHeight: high } = card;
  card.style.left = Math.max(8, Math.min(event.clientX + 16, innerWidth - wide - 12)) + "px";
  card.style.top = (event.clientY + high + 24 > innerHeight ? event.clientY - high - 14 : event.clientY + 16) + "px";
});
