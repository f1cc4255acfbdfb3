package dashboards

import "github.com/ecupcakes/ecupcakes/topology"

// object is a JSON object of Grafana's. The schema has hundreds of fields, and these dashboards need
// few of them. test/grafana validates the result against the schema.
type object = map[string]any

const (
	columns     = 24
	graphHeight = 8
	statHeight  = 5
)

var source = object{"type": "prometheus", "uid": "${datasource}"}

func (d dashboard) grafana(line topology.Line, all []dashboard) object {
	return object{
		"uid": d.uid(), "title": "eCupcakes: " + d.title, "description": d.about, "tags": []string{"ecupcakes"},
		"schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "timezone": "browser", "refresh": "10s", "weekStart": "", "fiscalYearStartMonth": 0,
		"time":        object{"from": "now-30m", "to": "now"},
		"timepicker":  object{},
		"annotations": object{"list": []object{}},
		"links":       d.links(all),
		"templating":  object{"list": variables(line)},
		"panels":      d.panels(),
	}
}

func (d dashboard) uid() string { return "ecupcakes-" + d.name }

// links returns links to the other dashboards, which keep the time range and the variables.
func (d dashboard) links(all []dashboard) (links []object) {
	for _, other := range all {
		if other.name != d.name {
			links = append(links, object{
				"title": other.title, "type": "link", "url": "/d/" + other.uid(), "icon": "dashboard", "tooltip": other.about,
				"keepTime": true, "includeVars": true, "targetBlank": false, "asDropdown": false, "tags": []string{},
			})
		}
	}
	return links
}

func variables(line topology.Line) []object {
	everything := object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}
	stages := []object{{"selected": true, "text": "All", "value": "$__all"}}
	names := ""
	for i, s := range line.Names() {
		if i > 0 {
			names += ","
		}
		names += s
		stages = append(stages, object{"selected": false, "text": s, "value": s})
	}
	return []object{
		{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "regex": "", "hide": 0, "refresh": 1, "multi": false, "includeAll": false, "skipUrlSync": false, "options": []object{}},
		{"name": "stage", "label": "Stage", "type": "custom", "query": names, "options": stages, "current": everything, "hide": 0, "multi": true, "includeAll": true, "allValue": ".*", "skipUrlSync": false},
		{
			"name": "instance", "label": "Instance", "type": "query", "datasource": source,
			"query":   object{"qryType": 1, "query": "label_values(ecupcakes_build_info, instance)", "refId": "PrometheusVariableQueryEditor-VariableQuery"},
			"refresh": 2, "regex": "", "sort": 1, "hide": 0, "multi": true, "includeAll": true, "allValue": ".*", "skipUrlSync": false, "options": []object{}, "current": everything,
		},
	}
}

// panels returns the panels with their positions, row by row from the top.
func (d dashboard) panels() (panels []object) {
	y := 0
	for _, r := range d.rows {
		panels = append(panels, object{
			"id": len(panels) + 1, "type": "row", "title": r.title, "collapsed": false, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": columns, "h": 1},
		})
		y++
		width, height := columns/len(r.panels), graphHeight
		if r.panels[0].kind == number {
			height = statHeight
		}
		for i, p := range r.panels {
			o := p.grafana()
			o["id"] = len(panels) + 1
			o["gridPos"] = object{"x": i * width, "y": y, "w": width, "h": height}
			panels = append(panels, o)
		}
		y += height
	}
	return panels
}

func (p panel) grafana() object {
	targets := []object{}
	for i, q := range p.queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": source, "expr": q.expr, "legendFormat": q.legend,
			"editorMode": "code", "range": p.kind == graph, "instant": p.kind == number,
		})
	}
	defaults := object{"unit": p.unit, "thresholds": p.thresholds(), "color": object{"mode": "thresholds"}, "mappings": []object{}}
	options := object{
		"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"colorMode":     "background", "graphMode": "none", "justifyMode": "center", "orientation": "auto", "textMode": "auto", "wideLayout": true,
	}
	if p.kind == graph {
		style, stacking := "off", "none"
		if len(p.steps) > 0 {
			style = "dashed"
		}
		if p.stacked {
			stacking = "normal"
		}
		defaults["color"] = object{"mode": "palette-classic-by-name"}
		defaults["min"] = p.min
		defaults["custom"] = object{
			"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": 10, "showPoints": "never", "spanNulls": false,
			"stacking": object{"mode": stacking, "group": "A"}, "thresholdsStyle": object{"mode": style},
		}
		options = object{
			"legend":  object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull", "max"}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	}
	if p.max != 0 {
		defaults["max"] = p.max
	}
	return object{
		"type": string(p.kind), "title": p.title, "description": p.about, "datasource": source, "targets": targets, "options": options,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}},
	}
}

func (p panel) thresholds() object {
	base := "green"
	if len(p.steps) == 0 {
		base = "blue"
	}
	steps := []object{{"color": base, "value": nil}}
	for _, s := range p.steps {
		if s.from == 0 { // It replaces the base colour.
			steps[0]["color"] = s.color
			continue
		}
		steps = append(steps, object{"color": s.color, "value": s.from})
	}
	return object{"mode": "absolute", "steps": steps}
}
