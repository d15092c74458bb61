// Addresses, paths and ids: how each is written, in this file alone. Pure but for `byId`; nothing is read on import.

// Addresses of the page: what stands after the # can be reloaded and shared

/** The views that the navigation names; "jobs" and "workers" can be opened further, with an id. */
export const VIEWS = ["overview", "methods", "history", "jobs", "workers"];
const OPENED = { jobs: "job", workers: "worker" };

export const WORKERS_ADDRESS = "#/workers";

export const jobAddress = (id) => `#/jobs/${encodeURIComponent(id)}`;

export const workerAddress = (name) => `#/workers/${encodeURIComponent(name)}`;

/** The list of jobs, all of them or those that a filter { method, state } leaves; an empty text filters nothing. */
export function jobsAddress({ method = "", state = "" } = {}) {
  const query = new URLSearchParams();
  if (method) query.set("method", method);
  if (state) query.set("state", state);
  const text = query.toString();
  return text ? `#/jobs?${text}` : "#/jobs";
}

/**
 * What an address asks for: { view, entry, id, filter }. `view` is one of VIEWS, "job" or "worker"; `entry` is the view that the
 * navigation marks; an address that nobody built is the overview.
 */
export function routeOf(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const [first, ...rest] = path.split("/");
  const entry = VIEWS.includes(first) ? first : "overview";
  const parameters = new URLSearchParams(query);
  const filter = { method: parameters.get("method") ?? "", state: parameters.get("state") ?? "" };
  const opened = OPENED[entry];
  const id = opened ? decoded(rest.join("/")) : "";
  return { view: id ? opened : entry, entry, id, filter };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody typed it: a lone % stands for itself
  }
}

// Paths of the server

export const STATS_PATH = "/sparrow/stats";
const DETAILS = { job: "/sparrow/jobs/", worker: "/sparrow/workers/" };

/** Where the details of a route are, or null for a view that shows the snapshot alone. */
export const detailsPath = ({ view, id }) => (DETAILS[view] ? DETAILS[view] + encodeURIComponent(id) : null);

// Elements of index.html; a test compares the two

export const IDS = Object.freeze({
  away: "away",
  blank: "blank",
  blankSub: "blank-sub",
  blankTitle: "blank-title",
  figures: "figures",
  filterMethod: "filter-method",
  filterState: "filter-state",
  footText: "foot-text",
  history: "history",
  historyCharts: "history-charts",
  historyData: "history-data",
  job: "job",
  jobs: "jobs",
  jobsClear: "jobs-clear",
  jobsEmpty: "jobs-empty",
  jobsEmptyWords: "jobs-empty-words",
  jobsFilter: "jobs-filter",
  jobsMore: "jobs-more",
  jobsScroll: "jobs-scroll",
  jobsSub: "jobs-sub",
  jobsTable: "jobs-table",
  live: "live",
  main: "main",
  messagesCanvas: "messages-canvas",
  messagesLegend: "messages-legend",
  methods: "methods",
  methodsBasis: "methods-basis",
  methodsData: "methods-data",
  methodsLegend: "methods-legend",
  methodsPair: "methods-pair",
  methodsRows: "methods-rows",
  methodsVerdict: "methods-verdict",
  notice: "notice",
  now: "now",
  nowCanvas: "now-canvas",
  nowChart: "now-chart",
  nowData: "now-data",
  nowGone: "now-gone",
  nowGrid: "now-grid",
  nowLegend: "now-legend",
  steps: "steps",
  stepsList: "steps-list",
  stepsSub: "steps-sub",
  stepsTitle: "steps-title",
  timesCanvas: "times-canvas",
  timesLegend: "times-legend",
  title: "title",
  worker: "worker",
  workers: "workers",
  workersSub: "workers-sub",
  workersTable: "workers-table",
});

export const byId = (id) => document.getElementById(id);
