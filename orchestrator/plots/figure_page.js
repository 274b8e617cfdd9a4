// Draws the figures of a page: once they come into view, light or dark, wide or narrow. It reads nothing
// but the JSON beside each figure, and none of that becomes markup.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)"), narrow = matchMedia("(max-width: 600px)");
  const places = [...document.querySelectorAll("[data-figure]")];
  const PANEL = 270, REST = 170;

  /** A color of the page's style, which has one for light and one for dark. */
  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function painted(layout) {
    const [ink, muted, paper, grid] = ["ink", "muted", "paper", "grid"].map(color);
    const found = { ...layout, font: { ...layout.font, color: ink }, paper_bgcolor: paper, plot_bgcolor: paper,
      hoverlabel: { ...layout.hoverlabel, bgcolor: paper, bordercolor: muted, font: { color: ink } } };
    for (const key of axes_of(layout, "[xy]")) found[key] = { ...found[key], gridcolor: grid, linecolor: muted, tickcolor: muted };
    found.annotations = (layout.annotations || []).map((each) => ({ ...each, font: { ...each.font, color: ink }, arrowcolor: ink,
      bgcolor: each.bgcolor ? paper : undefined }));
    found.sliders = (layout.sliders || []).map((each) => ({ ...each, font: { ...each.font, color: ink }, bgcolor: grid, bordercolor: muted }));
    return narrow.matches ? squeezed(found) : found;
  }

  /** Panels one below the other, no label that a narrow plane has no room for, the scale of colors above. */
  function squeezed(layout) {
    const across = axes_of(layout, "x"), up = axes_of(layout, "y"), count = across.length;
    const titles = layout.annotations.filter((each) => !each.showarrow);
    for (const key of [...across, ...up]) {
      const title = layout[key].title;
      layout[key] = { ...layout[key], tickangle: 0, automargin: true, title: title ? { ...title, font: { ...title.font, size: 12 } } : title };
    }
    if (count > 1) {
      const step = 1 / count, tall = step * 0.68;
      across.forEach((key, at) => {
        const top = 1 - at * step;
        layout[key] = { ...layout[key], domain: [0, 1] };
        layout[up[at]] = { ...layout[up[at]], domain: [top - tall, top] };
        if (titles[at]) titles[at] = { ...titles[at], x: 0.5, y: top };
      });
      layout.height = PANEL * count + REST;
    }
    layout.annotations = titles;
    if (layout.coloraxis) {
      const bar = layout.coloraxis.colorbar || {};
      layout.coloraxis = { ...layout.coloraxis, colorbar: { ...bar, orientation: "h", x: 0.5, y: 1.02, yanchor: "bottom", len: 1,
        thickness: 10, title: bar.title ? { ...bar.title, side: "top" } : undefined } };
      layout.margin = { ...layout.margin, t: Math.max(layout.margin.t, 80) };
    }
    layout.margin = { ...layout.margin, l: 50, r: 12 };
    return layout;
  }

  function axes_of(layout, which) {
    const pattern = new RegExp(`^${which}axis\\d*$`);
    return Object.keys(layout).filter((key) => pattern.test(key)).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  }

  function drawn(trace) {
    const found = { ...trace };
    if (found.textfont) found.textfont = { ...found.textfont, color: color("muted") };
    if (narrow.matches && found.mode === "markers+text") found.mode = "markers";
    if (found.type === "parcoords") {
      const scale = found.line.colorscale.map(([at, shade]) => [at, at <= 0.1 ? color("pale") : shade]);
      found.line = { ...found.line, colorscale: scale };
    }
    return found;
  }

  function draw(place) {
    const { data, layout, config } = JSON.parse(document.getElementById(place.dataset.figure).textContent);
    place.dataset.drawn = "yes";
    const shown = painted(layout);
    if (shown.height) place.style.minHeight = `${shown.height}px`;
    Plotly.purge(place);
    return Plotly.newPlot(place, data.map(drawn), shown, config);
  }

  const watch = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) if (isIntersecting && !target.dataset.drawn) draw(target);
  }, { rootMargin: "300px" });
  places.forEach((place) => watch.observe(place));
  const again = () => places.filter((place) => place.dataset.drawn).forEach(draw);
  dark.addEventListener("change", again);
  narrow.addEventListener("change", again);
  addEventListener("beforeprint", () => places.filter((place) => !place.dataset.drawn).forEach(draw));
})();
