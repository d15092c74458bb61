// The methods, as the server tells them: their names, order, colours and texts are written nowhere in the page. Pure.

const SLOTS = 8; // colours that sparrow.css has for methods: --m1 to --m8; --m0 is for those that are not registered

/** One method of the registry, or one that is not in it: then it has a name, the neutral colour, and nothing is known of it. */
const unregistered = (name) => ({ name, summary: "", section: "", colour: 0, samples: null, why: "" });

/** The methods in the order in which they are shown: those of the registry, then others that were used. */
export class Registry {
  #entries;

  /** `entries` are as in /sparrow/stats; `used` are names, in it or not, as often as they come. */
  constructor(entries, used) {
    this.registered = entries.map((entry) => entry.name);
    const others = [...new Set(used)].filter((name) => !this.registered.includes(name)).sort();
    this.names = [...this.registered, ...others];
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  of(name) {
    return this.#entries.get(name) ?? unregistered(name);
  }

  /** The name of its colour in the style sheet, which is also the name of the class that has it. */
  colourName(name) {
    const { colour } = this.of(name);
    return Number.isInteger(colour) && colour >= 1 && colour <= SLOTS ? `m${colour}` : "m0";
  }

  /** What the method does, in a line; empty when nobody says. */
  summary(name) {
    const { summary, section } = this.of(name);
    return summary && section ? `${summary} (section ${section} of the paper)` : summary;
  }
}

/** The registry of a snapshot; an empty one before the first has come. */
export function registryOf(stats) {
  if (!stats) return new Registry([], []);
  return new Registry(stats.registry, [...Object.keys(stats.methods), ...stats.jobs.map((job) => job.method)]);
}
