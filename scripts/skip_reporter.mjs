/** vitest reporter: every skipped test with its reason, which neither the default nor the JSON reporter prints. */
export default class SkipReporter {
  onTestRunEnd(modules) {
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const reason = test.result().note ?? 'no reason given: use context.skip(reason)';
        console.log(`skipped: ${module.relativeModuleId} > ${test.fullName}: ${reason}`);
      }
    }
  }
}
