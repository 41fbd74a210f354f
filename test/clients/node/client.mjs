// client.mjs objects|errors|informer [NAME]: @kubernetes/client-node, unmodified, against the server of
// $KUBECONFIG. Prints a line per thing that is true and ends with 0, or with the first that is not.
import assert from 'node:assert/strict';
import * as k8s from '@kubernetes/client-node';

const NS = 'node-client';
const config = new k8s.KubeConfig();
config.loadFromFile(process.env.KUBECONFIG);
const core = config.makeApiClient(k8s.CoreV1Api);

const ok = (what) => console.log(`ok ${what}`);
const cm = (name, data) => ({ metadata: { name, labels: { app: 'node' } }, data });

async function fails(code, reason, promise) {
    const e = await promise.then(() => null, (err) => err);
    assert.ok(e, `wanted ${code} ${reason}, but it succeeded`);
    assert.ok(e instanceof k8s.ApiException, `an ApiException, not ${e}`);
    assert.equal(e.code, code);
    const status = typeof e.body === 'string' ? JSON.parse(e.body) : e.body;
    assert.equal(status.kind, 'Status');
    assert.equal(status.reason, reason);
    ok(`${code} ${reason}`);
    return status;
}

async function objects() {
    await core.createNamespace({ body: { metadata: { name: NS } } });
    const made = await core.createNamespacedConfigMap({ namespace: NS, body: cm('a', { k: '1' }) });
    assert.equal(made.metadata.namespace, NS);
    assert.ok(made.metadata.creationTimestamp instanceof Date);
    ok('create');

    const got = await core.readNamespacedConfigMap({ namespace: NS, name: 'a' });
    assert.deepEqual(got, made);
    got.data.k = '2';
    const put = await core.replaceNamespacedConfigMap({ namespace: NS, name: 'a', body: got });
    assert.equal(put.data.k, '2');
    ok('replace');

    const patch = async (strategy, body, extra = {}) => {
        const r = await core.patchNamespacedConfigMap(
            { namespace: NS, name: 'a', body, ...extra },
            k8s.setHeaderOptions('Content-Type', strategy));
        return r.data;
    };
    const P = k8s.PatchStrategy;
    assert.equal((await patch(P.MergePatch, { data: { merge: 'm' } })).merge, 'm');
    assert.equal((await patch(P.StrategicMergePatch, { data: { strategic: 's' } })).strategic, 's');
    assert.equal((await patch(P.JsonPatch, [{ op: 'add', path: '/data/json', value: 'j' }])).json, 'j');
    const applied = await patch(P.ServerSideApply,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { apply: 'p' } },
        { fieldManager: 'node', force: true });
    assert.deepEqual(Object.keys(applied).sort(), ['apply', 'json', 'k', 'merge', 'strategic']);
    ok('patches of all four kinds');

    const dry = await core.createNamespacedConfigMap({ namespace: NS, body: cm('dry'), dryRun: 'All' });
    assert.equal(dry.metadata.name, 'dry');
    for (const name of ['b', 'c', 'd', 'e'])
        await core.createNamespacedConfigMap({ namespace: NS, body: cm(name, { v: 'x'.repeat(50000) }) });
    const all = await core.listNamespacedConfigMap({ namespace: NS, labelSelector: 'app=node' });
    assert.deepEqual(all.items.map((o) => o.metadata.name), ['a', 'b', 'c', 'd', 'e']);
    const names = [];
    for (let token; token !== '';) {
        const page = await core.listNamespacedConfigMap({ namespace: NS, limit: 2, _continue: token });
        names.push(...page.items.map((o) => o.metadata.name));
        token = page.metadata._continue || '';
    }
    assert.deepEqual(names.filter((n) => n !== 'kube-root-ca.crt'), ['a', 'b', 'c', 'd', 'e']);
    ok('lists in pages');

    const generic = k8s.KubernetesObjectApi.makeApiClient(config);
    const dep = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace: NS },
        spec: { selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } },
            spec: { containers: [{ name: 'c', image: 'i' }] } } } };
    assert.equal((await generic.create(dep)).spec.replicas, 1);
    dep.spec.replicas = 3;
    assert.equal((await generic.patch(dep)).spec.replicas, 3);
    assert.equal((await generic.read(dep)).kind, 'Deployment');
    await generic.delete(dep);
    ok('objects of any kind, found by discovery');

    const gone = await core.deleteNamespacedConfigMap({ namespace: NS, name: 'b' });
    assert.equal(gone.status, 'Success');
    const last = await core.deleteCollectionNamespacedConfigMap({ namespace: NS, labelSelector: 'app=node' });
    assert.ok(last);
    const left = await core.listNamespacedConfigMap({ namespace: NS, labelSelector: 'app=node' });
    assert.equal(left.items.length, 0);
    ok('deletes');

    const version = await config.makeApiClient(k8s.VersionApi).getCode();
    assert.equal(version.minor, '32');
    const health = new k8s.Health(config);
    assert.equal(await health.readyz({}), true);
    ok('version and health');
}

async function errors() {
    const name = 'errors', namespace = 'default';
    const made = await core.createNamespacedConfigMap({ namespace, body: cm(name) });
    const none = await fails(404, 'NotFound', core.readNamespacedConfigMap({ namespace, name: 'none' }));
    assert.equal(none.message, 'configmaps "none" not found');
    await fails(409, 'AlreadyExists', core.createNamespacedConfigMap({ namespace, body: cm(name) }));
    const first = { ...made, data: { a: '1' } };
    await core.replaceNamespacedConfigMap({ namespace, name, body: first });
    await fails(409, 'Conflict', core.replaceNamespacedConfigMap({ namespace, name, body: { ...made, data: { a: '2' } } }));
    const invalid = await fails(422, 'Invalid', core.createNamespacedConfigMap({ namespace, body: cm('No_Name') }));
    assert.equal(invalid.details.causes[0].field, 'metadata.name');
    await fails(422, 'Invalid', core.listNamespacedConfigMap({ namespace, resourceVersionMatch: 'Exact' }));
    await fails(400, 'BadRequest', core.listNamespacedConfigMap({ namespace, labelSelector: 'a b' }));
    await fails(504, 'Timeout', core.listNamespacedConfigMap({ namespace, resourceVersion: '9000000000000' }));
    await fails(410, 'Expired', core.listNamespacedConfigMap(
        { namespace, resourceVersion: '1', resourceVersionMatch: 'Exact' }));
    await core.deleteNamespacedConfigMap({ namespace, name });
}

// Until it is told to stop: a line for each event, as a program with an informer sees it.
async function informer() {
    const path = '/api/v1/namespaces/default/configmaps';
    const i = k8s.makeInformer(config, path,
        () => core.listNamespacedConfigMap({ namespace: 'default', labelSelector: 'app=node' }), 'app=node');
    for (const verb of ['add', 'update', 'delete'])
        i.on(verb, (o) => console.log(`${verb} ${o.metadata.name} ${o.data ? o.data.v : ''}`));
    i.on('connect', () => console.log('connect'));
    i.on('error', (e) => {
        console.log(`error ${e.code || e.name || e}`);
        setTimeout(() => i.start(), 300); // as the client's documentation has it
    });
    process.on('SIGTERM', () => i.stop().then(() => process.exit(0)));
    await i.start();
}

// A watch from a version that is forgotten: the client's event says so.
async function expired() {
    const watch = new k8s.Watch(config);
    const seen = await new Promise((resolve, reject) => {
        watch.watch('/api/v1/namespaces/default/configmaps', { resourceVersion: '1' },
            (type, obj) => resolve({ type, obj }), (e) => reject(e || new Error('ended without an event')));
    });
    assert.equal(seen.type, 'ERROR');
    assert.equal(seen.obj.code, 410);
    ok('ERROR event with 410');
    process.exit(0);
}

await { objects, errors, informer, expired }[process.argv[2]]();
