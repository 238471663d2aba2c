{{/* What agents' pods are selected by, and nothing that selects servers does: it never changes. */}}
{{- define "offmesh.agentSelector" -}}
app.kubernetes.io/name: offmesh-agent
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "offmesh.agentLabels" -}}
{{ include "offmesh.agentSelector" . }}
{{ include "offmesh.versionLabels" . }}
{{- end }}

{{/* Whether there are DPU nodes in this cluster, whose agents renew Leases; empty when not. */}}
{{- define "offmesh.renewsLeases" -}}
{{- if and (has "dpu" .Values.agent.nodeTypes) (not .Values.dpuCluster.kubeconfigSecret) }}true{{ end }}
{{- end }}

{{/* The command line of an agent; which node it is on, the pod says. */}}
{{- define "offmesh.agentArgs" -}}
{{- with .Values.agent -}}
- agent
- --discovery-address={{ .discoveryAddress | default (printf "offmesh.%s.svc:15012" $.Release.Namespace) }}
- --on-exit={{ .onExit }}
- --when-ztunnel-is-gone={{ .whenZtunnelIsGone }}
- --{{ if not .podRoutes }}no-{{ end }}pod-routes
- --{{ if not .ztunnelNetns }}no-{{ end }}ztunnel-netns
{{- end }}
{{- if include "offmesh.renewsLeases" . }}
- --lease-namespace={{ include "offmesh.leaseNamespace" . }}
{{- end }}
- --log-level={{ .Values.logs.level }}
- --log-format={{ .Values.logs.format }}
{{- end }}

{{/* One term for nodes by their label, one for those without: a node of either is taken. */}}
{{- define "offmesh.agentNodes" -}}
{{- with without .Values.agent.nodeTypes "single" }}
- matchExpressions:
    - key: offMeshNodeType
      operator: In
      values: {{ toJson . }}
{{- end }}
{{- if has "single" .Values.agent.nodeTypes }}
- matchExpressions:
    - key: offMeshNodeType
      operator: DoesNotExist
{{- end }}
{{- end }}

{{- define "offmesh.agentVolumeMounts" -}}
# What is held, so that an agent that starts without the servers can mend it.
- name: state
  mountPath: /var/lib/offmesh
- name: token
  mountPath: /var/run/secrets/tokens
  readOnly: true
- name: root-cert
  mountPath: /var/run/secrets/istio
  readOnly: true
# Writers of iptables-legacy take turns by it, those of the node and this one.
- name: xtables-lock
  mountPath: /run/xtables.lock
# iptables-legacy loads its modules itself; all others the kernel loads, with the node's own files.
- name: modules
  mountPath: /lib/modules
  readOnly: true
{{- if .Values.agent.ztunnelNetns }}
# The network namespaces of pods, also of those that start later.
- name: netns
  mountPath: /run/netns
  readOnly: true
  mountPropagation: HostToContainer
{{- end }}
{{- end }}

{{- define "offmesh.agentVolumes" -}}
- name: state
  hostPath:
    path: /var/lib/offmesh
    type: DirectoryOrCreate
- name: token
  projected:
    sources:
      - serviceAccountToken:
          audience: {{ .Values.identity.tokenAudience | quote }}
          expirationSeconds: 43200
          path: istio-token
- name: root-cert
  configMap:
    name: istio-ca-root-cert
- name: xtables-lock
  hostPath:
    path: /run/xtables.lock
    type: FileOrCreate
- name: modules
  hostPath:
    path: /lib/modules
{{- if .Values.agent.ztunnelNetns }}
- name: netns
  hostPath:
    path: /run/netns
    type: DirectoryOrCreate
{{- end }}
{{- end }}
