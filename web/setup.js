// What a cluster needs before there is anything to see: what is there, and what to type for the rest. Pure.

import { plural } from "./format.js";

const USUAL_NAMESERVER = /^(127\.0\.0\.1|localhost):9090$/; // needs no option

/**
 * { started, steps }: the whole list until there was a job, then only what is missing. A step is { key, done, yes, no, type,
 * where }: what to say when it is done and when it is not, and what to type where. `method` is the one of the example.
 */
export function setupOf(stats, method) {
  const { totals } = stats;
  const started = totals.jobs > 0 || totals.workers_gone > 0;
  const steps = allSteps(stats, method);
  return { started, steps: started ? steps.filter((step) => !step.done && step.key !== "jobs") : steps };
}

function allSteps({ nameserver, totals, schedulers }, method) {
  const up = Object.values(schedulers).filter((one) => one.state === "up").length;
  const { address, error } = nameserver;
  const option = USUAL_NAMESERVER.test(address) ? "" : ` --nameserver ${address}`;
  return [
    {
      key: "nameserver",
      done: nameserver.up,
      yes: `Name server at ${address}`,
      no: error.startsWith("no name server") || !error ? `No name server at ${address}` : error,
      type: nameserverCommand(address),
      where: "on its host",
    },
    {
      key: "scheduler",
      done: up > 0,
      yes: plural(up, "scheduler"),
      no: "No scheduler",
      type: `python3 src/Scheduler.py${option}`,
      where: "on any machine",
    },
    {
      key: "workers",
      done: totals.workers > 0,
      yes: plural(totals.workers, "worker"),
      no: "No worker",
      type: `python3 src/Worker.py${option}`,
      where: "on each machine",
    },
    {
      key: "jobs",
      done: totals.jobs > 0,
      yes: plural(totals.jobs, "job"),
      no: "No job yet",
      type: `python3 src/SparrowClient.py ${method} 10 10 1${option}`,
      where: "10 jobs of 10 tasks of 1 s",
    },
  ];
}

function nameserverCommand(address) {
  const colon = address.lastIndexOf(":");
  const [host, port] = [address.slice(0, colon), address.slice(colon + 1)];
  const local = host === "localhost" || host === "127.0.0.1";
  return `python3 src/NameServer.py${local ? "" : ` --host ${host}`}${port === "9090" ? "" : ` --port ${port}`}`;
}
